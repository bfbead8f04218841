// What the lists of options (schema.cc, backend_options.cc) have in common.
#pragma once

#include <cstdint>
#include <string>

#include "config/option_kinds.h"

namespace spillway::config {

// A macro, since no other way to name a nested member works for constant and mutable structs alike.
// NOLINTNEXTLINE(bugprone-macro-parentheses): a member cannot be named in parentheses
#define FIELD(path) [](auto& from) -> auto& { return from.path; }

inline constexpr std::int64_t kMany = 1'000'000;

// The keys of [defaults] once more, where a [[backend]] or a [[route]] may set them.
template <class T>
void add_overrides(Options<T>& options) {
  const std::string again = "As in [defaults], for this one.";
  options.push_back(duration<T>("connect_timeout", FIELD(timeouts.connect), milliseconds(1), again));
  options.push_back(duration<T>("first_token_timeout", FIELD(timeouts.first_token), milliseconds(1), again));
  options.push_back(duration<T>("idle_timeout", FIELD(timeouts.idle), milliseconds(1), again));
  options.push_back(duration<T>("answer_timeout", FIELD(timeouts.answer), milliseconds(1), again));
  options.push_back(number<T>("min_tokens_per_second", FIELD(timeouts.min_tokens_per_second), again));
  options.push_back(duration<T>("deadline", FIELD(timeouts.deadline), milliseconds(1), again));
}

}  // namespace spillway::config
