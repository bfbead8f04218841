// Values as they are written in a config: durations, sizes, rates, addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "config/config.h"

namespace spillway::config {

// "250ms", "3s", "5m", "1h"; a whole number and a unit. Nothing for anything else, or beyond 10 years.
std::optional<milliseconds> parse_duration(std::string_view text);
// The largest unit that takes it whole: "90s", "2m".
std::string print_duration(milliseconds duration);

// Bytes: "8MiB", "64KiB", "1GiB" (powers of 1024), "10MB", "5kB", "1GB" (of 1000), "100B".
std::optional<std::uint64_t> parse_size(std::string_view text);
std::string print_size(std::uint64_t bytes);

// As in "60/m": so many in each second, minute or hour. Nothing: it is not, or more than kHighestRate.
struct Rate {
  std::uint32_t most = 0;
  milliseconds window{0};
};
std::optional<Rate> parse_rate(std::string_view text);
inline constexpr std::uint32_t kHighestRate = 1'000'000;

// http:// or https://, a host, perhaps a port and a path; no user, query or fragment. Why it is none,
// or empty when it is one.
std::string why_no_base_url(std::string_view text);

// The endpoint that a base_url ends in by mistake, as in ".../v1/chat/completions"; empty: none.
std::string_view endpoint_at_end(std::string_view base_url);

// Does a header field of that name carry a credential? By the words in it: "x-api-key", "Private-Token".
bool names_a_secret(std::string_view field);

// Where a good base_url leads: its host without brackets ("localhost" as 127.0.0.1), its port or the scheme's own.
Address address_of_base_url(std::string_view text);

// A TOML basic string, quotes included.
std::string toml_string(std::string_view text);
// The same for messages: at most about 80 bytes of it.
std::string excerpt(std::string_view text);

}  // namespace spillway::config
