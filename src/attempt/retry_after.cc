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

bool has_prefix(std::string_view name, std::string_view prefix) {
  return name.size() > prefix.size() && equals_ignore_case(name.substr(0, prefix.size()), prefix);
}

}  // namespace

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
    if (equals_ignore_case(field.name, "retry-after-ms") || has_prefix(field.name, "x-ratelimit-") ||
        has_prefix(field.name, "ratelimit-") || has_prefix(field.name, "anthropic-ratelimit-")) {
      out.append(field.name).append(": ").append(field.value).append("\r\n");
    }
  }
  return out;
}

}  // namespace spillway::attempt
