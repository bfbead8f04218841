// Whose requests go first when there is not room for all.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

namespace spillway::admit {

// As in Google's SRE book ("Handling Overload", criticality); the first is served first.
enum class Priority { kCritical, kHigh, kNormal, kBatch };
inline constexpr std::size_t kPriorities = 4;

std::string_view to_string(Priority priority);
// From the header field x-spillway-priority. Nothing: it is none of the four words.
std::optional<Priority> parse_priority(std::string_view word);

}  // namespace spillway::admit
