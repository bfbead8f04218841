// What cannot be, and is: an error of our own that must not end more than it has to.
#pragma once

#include <cstdint>
#include <exception>
#include <source_location>
#include <string>
#include <string_view>

namespace spillway {

// Logged once for each place in the source, counted each time (metric spillway_bugs_total); whoever calls it goes on
// safely (after Envoy's ENVOY_BUG). From any thread.
void bug(std::string_view what, std::source_location where = std::source_location::current());

// How many there were, in this process.
std::uint64_t bugs();

// What an exception says.
std::string text_of(const std::exception_ptr& failure);

}  // namespace spillway
