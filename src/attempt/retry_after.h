// How long a Backend asks not to be asked.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "base/time.h"
#include "http/message.h"

namespace spillway::attempt {

// `retry-after-ms` (OpenAI, Azure; milliseconds, may have a fraction), else `Retry-After`: seconds, with a fraction
// where a provider adds one, or a date (RFC 9110, 10.2.3 and 5.6.7: all three forms), measured from `at`. A date in
// the past is 0; at most kLongestRetryAfter. Nothing where neither says anything that can be read.
std::optional<milliseconds> retry_delay(const http::Headers& headers, std::chrono::system_clock::time_point at);

inline constexpr milliseconds kLongestRetryAfter = std::chrono::hours(24);

// The fields that tell of rates (`x-ratelimit-*`, `ratelimit-*`, `anthropic-ratelimit-*`, `retry-after-ms`), as
// rendered lines.
std::string rate_fields(const http::Headers& headers);

// How long until a limit that is used up is there again: some `…remaining…` of these fields is 0, and its `…reset…`
// says when, as "6m0s", in seconds, as seconds since 1970, or as a time of RFC 3339. Nothing: none is used up.
std::optional<milliseconds> used_up_for(const http::Headers& headers, std::chrono::system_clock::time_point at);

}  // namespace spillway::attempt
