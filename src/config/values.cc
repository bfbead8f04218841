#include "config/values.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>
#include <ranges>

#include "base/text.h"
#include "config/config.h"

namespace spillway::config {

namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 4> kDurations{{{"ms", 1}, {"s", 1'000}, {"m", 60'000}, {"h", 3'600'000}}};
constexpr std::array<Unit, 7> kSizes{{{"GiB", 1u << 30},
                                      {"MiB", 1u << 20},
                                      {"KiB", 1u << 10},
                                      {"GB", 1'000'000'000},
                                      {"MB", 1'000'000},
                                      {"kB", 1'000},
                                      {"B", 1}}};
constexpr std::uint64_t kLongest = 10ull * 365 * 24 * 3'600'000;  // ms
constexpr std::uint64_t kLargest = 1ull << 50;                    // bytes

template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                                             std::uint64_t limit) {
  std::uint64_t number = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), number);
  if (parsed.ec != std::errc()) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  for (const Unit& known : units) {
    if (unit != known.name) continue;
    if (number > limit / known.factor) return std::nullopt;
    return number * known.factor;
  }
  return std::nullopt;
}

// The one way to write an IP address (RFC 5952 for IPv6), so that equal ones compare equal; nothing: it is none.
std::optional<std::string> canonical_ip(const std::string& host) {
  if (host.find('\0') != std::string::npos) return std::nullopt;
  std::array<unsigned char, sizeof(in6_addr)> raw{};
  std::array<char, INET6_ADDRSTRLEN> text{};
  for (const int family : {AF_INET, AF_INET6}) {
    if (::inet_pton(family, host.c_str(), raw.data()) == 1)
      return ::inet_ntop(family, raw.data(), text.data(), text.size());
  }
  return std::nullopt;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<milliseconds> parse_duration(std::string_view text) {
  const auto parsed = parse_with_unit(text, kDurations, kLongest);
  if (!parsed) return std::nullopt;
  return milliseconds(static_cast<std::int64_t>(*parsed));
}

std::string print_duration(milliseconds duration) {
  const auto count = static_cast<std::uint64_t>(duration.count());
  if (count == 0) return "0s";
  for (const Unit& unit : std::ranges::reverse_view(kDurations)) {
    if (count % unit.factor == 0) return std::to_string(count / unit.factor) + std::string(unit.name);
  }
  return std::to_string(count) + "ms";
}

std::optional<std::uint64_t> parse_size(std::string_view text) { return parse_with_unit(text, kSizes, kLargest); }

std::string print_size(std::uint64_t bytes) {
  for (const Unit& unit : kSizes) {
    if (unit.factor % 1024 == 0 && bytes != 0 && bytes % unit.factor == 0)
      return std::to_string(bytes / unit.factor) + std::string(unit.name);
  }
  return std::to_string(bytes) + "B";
}

std::optional<Rate> parse_rate(std::string_view text) {
  Rate rate;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), rate.most);
  if (parsed.ec != std::errc() || rate.most == 0 || rate.most > kHighestRate) return std::nullopt;
  const std::string_view unit = text.substr(static_cast<std::size_t>(parsed.ptr - text.data()));
  rate.window = unit == "/s" ? seconds(1) : unit == "/m" ? seconds(60) : unit == "/h" ? seconds(3'600) : seconds(0);
  if (rate.window.count() == 0) return std::nullopt;
  return rate;
}

std::string why_no_base_url(std::string_view text) {
  std::string_view rest;
  if (text.starts_with("http://")) rest = text.substr(7);
  if (text.starts_with("https://")) rest = text.substr(8);
  if (rest.data() == nullptr) return "it has to begin with http:// or https://";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F) return "it holds a space or a control character";
  }
  if (rest.find_first_of("?#") != std::string_view::npos) return "it may not have a query or a fragment";
  const std::string_view authority = rest.substr(0, rest.find('/'));
  if (authority.find('@') != std::string_view::npos) return "it may not hold credentials; use api_key";
  std::string_view host = authority;
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos || !canonical_ip(std::string(authority.substr(1, close - 1))))
      return "its IPv6 address is malformed";
    host = authority.substr(0, close + 1);
    port = authority.substr(close + 1);
  } else if (const std::size_t colon = authority.find(':'); colon != std::string_view::npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (host.empty()) return "it names no host";
  if (port.empty()) return {};
  const auto number = parse_port(port.substr(1));
  return !port.starts_with(':') || !number || *number == 0 ? "its port is not a number from 1 to 65535" : "";
}

std::string_view endpoint_at_end(std::string_view base_url) {
  while (base_url.ends_with('/')) base_url.remove_suffix(1);
  for (const std::string_view endpoint : {"/chat/completions", "/completions", "/embeddings", "/responses", "/messages",
                                          "/models", "/api/chat", "/api/generate"}) {
    if (base_url.ends_with(endpoint)) return base_url.substr(base_url.size() - endpoint.size());
  }
  return {};
}

bool names_a_secret(std::string_view field) {
  const std::string name = to_lower(field);
  for (const std::string_view word :
       {"key", "token", "secret", "auth", "password", "credential", "cookie", "signature", "session"}) {
    if (name.find(word) != std::string::npos) return true;
  }
  return false;
}

Address address_of_base_url(std::string_view text) {
  const std::uint16_t own = text.starts_with("https://") ? 443 : 80;
  std::string_view authority = text.substr(text.find("//") + 2);
  authority = authority.substr(0, authority.find('/'));
  const std::size_t colon = authority.find(':', authority.starts_with('[') ? authority.find(']') : 0);
  std::string host(authority.substr(0, colon));
  if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
  if (host == "localhost") host = "127.0.0.1";
  const auto port = colon == std::string_view::npos ? own : parse_port(authority.substr(colon + 1)).value_or(own);
  return {canonical_ip(host).value_or(host), port};
}

std::optional<Address> parse_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_port(text.substr(colon + 1));
  if (!port) return std::nullopt;
  std::string host(text.substr(0, colon));
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
    if (host.find(':') == std::string::npos) return std::nullopt;
  } else if (host.find(':') != std::string::npos) {
    return std::nullopt;  // which colon would begin the port?
  }
  auto ip = canonical_ip(host);
  if (!ip) return std::nullopt;
  return Address{std::move(*ip), *port};
}

bool Address::is_loopback() const {
  in_addr v4{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6{};
  if (::inet_pton(AF_INET6, host.c_str(), &v6) != 1) return false;
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return v6.s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string Address::to_string() const {
  return (host.find(':') != std::string::npos ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string toml_string(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += "\\u00";
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string excerpt(std::string_view text) {
  constexpr std::size_t kMost = 80;  // bytes
  if (text.size() <= kMost) return toml_string(text);
  std::size_t end = kMost;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // no half characters
  return toml_string(text.substr(0, end)) + "…";
}

Timeouts overlay(const Timeouts& base, const TimeoutOverrides& overrides) {
  Timeouts out;
  out.connect = overrides.connect.value_or(base.connect);
  out.first_token = overrides.first_token.value_or(base.first_token);
  out.idle = overrides.idle.value_or(base.idle);
  out.answer = overrides.answer.value_or(base.answer);
  out.min_tokens_per_second = overrides.min_tokens_per_second.value_or(base.min_tokens_per_second);
  out.deadline = overrides.deadline.value_or(base.deadline);
  return out;
}

}  // namespace spillway::config
