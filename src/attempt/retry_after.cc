#include "attempt/retry_after.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <ctime>

#include "base/text.h"

namespace spillway::attempt {

namespace {

std::optional<double> number(std::string_view text) {
  double value = 0;
  if (text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;  // no sign, no "inf"
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return value;
}

milliseconds bounded(double ms) {
  const auto most = static_cast<double>(kLongestRetryAfter.count());
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::min(ms, most))));
}

// IMF-fixdate, and the obsolete forms of RFC 850 and asctime(), which recipients have to take.
std::optional<std::chrono::system_clock::time_point> http_date(const std::string& text) {
  for (const char* const form : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    std::tm parts{};
    const char* const end = ::strptime(text.c_str(), form, &parts);
    if (end != nullptr && *end == '\0') return std::chrono::system_clock::from_time_t(::timegm(&parts));
  }
  return std::nullopt;
}

bool tells_of_rates(std::string_view name) {
  for (const std::string_view prefix : {"x-ratelimit-", "ratelimit-", "anthropic-ratelimit-"}) {
    if (name.size() > prefix.size() && starts_with_ignore_case(name, prefix)) return true;
  }
  return false;
}

// "1h2m3.5s", "250ms": as Go writes a duration.
std::optional<double> go_duration_ms(std::string_view text) {
  double total = 0;
  if (text.empty()) return std::nullopt;
  while (!text.empty()) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
    const auto value = number(text.substr(0, digits));
    text.remove_prefix(digits);
    if (!value) return std::nullopt;
    const auto unit = [&](std::string_view word, double ms) {
      if (!text.starts_with(word)) return false;
      total += *value * ms;
      text.remove_prefix(word.size());
      return true;
    };
    if (!unit("ms", 1) && !unit("h", 3.6e6) && !unit("m", 6e4) && !unit("s", 1e3)) return std::nullopt;
  }
  return total;
}

// From `at` until the moment that a field `…reset…` tells.
std::optional<double> reset_ms(std::string_view text, std::chrono::system_clock::time_point at) {
  using Ms = std::chrono::duration<double, std::milli>;
  constexpr double kSinceEpoch = 1e9;  // a plain number above it is no delay
  if (const auto seconds = number(text)) {
    if (*seconds < kSinceEpoch) return *seconds * 1e3;
    return *seconds * 1e3 - Ms(at.time_since_epoch()).count();
  }
  if (const auto duration = go_duration_ms(text)) return duration;
  std::tm parts{};
  const std::string terminated(text);
  const char* const end = ::strptime(terminated.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (end == nullptr) return std::nullopt;
  return Ms(std::chrono::system_clock::from_time_t(::timegm(&parts)) - at).count();
}

}  // namespace

std::optional<milliseconds> used_up_for(const http::Headers& headers, std::chrono::system_clock::time_point at) {
  std::optional<milliseconds> longest;
  for (const http::Header& field : headers) {
    constexpr std::string_view kRemaining = "remaining";
    if (field.value != "0" || !tells_of_rates(field.name)) continue;
    std::string name = to_lower(field.name);
    const std::size_t place = name.find(kRemaining);
    if (place == std::string::npos) continue;
    const auto ms = reset_ms(headers.get(name.replace(place, kRemaining.size(), "reset")), at);
    if (ms && *ms > 0) longest = std::max(longest.value_or(milliseconds(0)), bounded(*ms));
  }
  return longest;
}

std::optional<milliseconds> retry_delay(const http::Headers& headers, std::chrono::system_clock::time_point at) {
  if (const auto ms = number(headers.get("retry-after-ms"))) return bounded(*ms);
  const std::string_view text = headers.get("retry-after");
  if (const auto whole = number(text)) return bounded(*whole * 1e3);
  const auto date = http_date(std::string(text));
  if (!date) return std::nullopt;
  const double ms = std::chrono::duration<double, std::milli>(*date - at).count();
  return bounded(std::max(ms, 0.0));
}

std::string rate_fields(const http::Headers& headers) {
  std::string out;
  for (const http::Header& field : headers) {
    if (equals_ignore_case(field.name, "retry-after-ms") || tells_of_rates(field.name)) {
      out.append(field.name).append(": ").append(field.value).append("\r\n");
    }
  }
  return out;
}

}  // namespace spillway::attempt
