#include "attempt/forward.h"

#include <charconv>

#include "base/text.h"

namespace spillway::attempt {

namespace {

constexpr std::size_t kMaxRequestId = 128;  // bytes

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  for (const std::string_view known : names) {
    if (equals_ignore_case(name, known)) return true;
  }
  return false;
}

template <std::size_t N>
bool has_one_of(std::string_view name, const std::array<std::string_view, N>& prefixes) {
  for (const std::string_view prefix : prefixes) {
    if (starts_with_ignore_case(name, prefix)) return true;
  }
  return false;
}

// Of the client's fields these go on, and those that begin so.
constexpr std::array<std::string_view, 5> kGoesOn{"accept", "accept-language", "user-agent", "traceparent",
                                                  "tracestate"};
constexpr std::array<std::string_view, 3> kGoesOnPrefixes{"openai-", "anthropic-", "x-stainless-"};

// Versions and betas of one API mean nothing to another.
constexpr std::array<std::string_view, 3> kOneDialects{"openai-", "anthropic-", "x-stainless-"};

// Of an answer's fields these reach the client, and those that begin so. All others are the provider's own affair, or
// would speak to the client in the gateway's name: cookies, redirects, challenges, accounts, hosts behind it.
constexpr std::array<std::string_view, 9> kComesBack{"retry-after",          "retry-after-ms", "x-should-retry",
                                                     "openai-processing-ms", "openai-version", "cache-control",
                                                     "deprecation",          "sunset",         "warning"};
constexpr std::array<std::string_view, 3> kComesBackPrefixes{"x-ratelimit-", "ratelimit", "anthropic-ratelimit-"};

bool goes_on(std::string_view name, const backend::Backend& backend) {
  return is_one_of(name, kGoesOn) || has_one_of(name, kGoesOnPrefixes) || backend.forwards(name);
}

// Does a list in one of the Connection fields name `name`? (RFC 9110, 7.6.1)
bool is_connections_own(const http::Headers& headers, std::string_view name) {
  for (const http::Header& field : headers) {
    if (!equals_ignore_case(field.name, "connection")) continue;
    for (std::string_view list = field.value; !list.empty();) {
      const std::size_t comma = list.find(',');
      if (equals_ignore_case(trim(list.substr(0, comma)), name)) return true;
      list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
  }
  return false;
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

}  // namespace

bool is_usable_id(std::string_view id) {
  if (id.empty() || id.size() > kMaxRequestId) return false;
  for (const char c : id) {
    if (c < 0x21 || c > 0x7E || c == '"' || c == '\\') return false;
  }
  return true;
}

std::string request_head(const backend::Backend& backend, std::string_view prepared, const http::Headers& client,
                         std::size_t body_bytes, std::string_view request_id, bool translated) {
  std::string out;
  out.reserve(prepared.size() + 512);
  out += prepared;
  for (const http::Header& field : client) {
    if (translated && has_one_of(field.name, kOneDialects) && !backend.forwards(field.name)) continue;
    if (!goes_on(field.name, backend) || is_connections_own(client, field.name) || backend.overrides(field.name))
      continue;
    append_field(out, field.name, field.value);
  }
  // platform.claude.com/docs/en/api/versioning
  constexpr std::string_view kVersion = "anthropic-version";
  if (backend.settings().kind == Dialect::kAnthropic && (translated || !client.has(kVersion)) &&
      !backend.overrides(kVersion))
    append_field(out, kVersion, "2023-06-01");
  if (!backend.overrides("x-request-id")) append_field(out, "x-request-id", request_id);
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, body_bytes).ptr;
  out.append("Content-Length: ").append(digits, static_cast<std::size_t>(end - digits)).append("\r\n\r\n");
  return out;
}

void append_response_fields(std::string& out, const http::Headers& upstream, const backend::Backend& backend) {
  const std::size_t begin = out.size();
  for (const http::Header& field : upstream) {
    const bool comes_back = is_one_of(field.name, kComesBack) || has_one_of(field.name, kComesBackPrefixes);
    if (comes_back && !is_connections_own(upstream, field.name)) append_field(out, field.name, field.value);
  }
  if (const std::string_view id = request_id_of(upstream); !id.empty())
    append_field(out, "x-spillway-upstream-request-id", id);
  if (const std::string_view added = std::string_view(out).substr(begin); backend.holds_secret(added)) {
    const std::string masked = backend.masked(added);
    out.replace(begin, std::string::npos, masked);
  }
}

std::string_view request_id_of(const http::Headers& upstream) {
  for (const std::string_view name : {"x-request-id", "request-id"}) {
    if (const std::string_view id = upstream.get(name); is_usable_id(id)) return id;
  }
  return {};
}

}  // namespace spillway::attempt
