#include "attempt/forward.h"

#include <charconv>

#include "base/text.h"

namespace spillway::attempt {

namespace {

constexpr std::string_view kOwnPrefix = "x-spillway-";

bool has_own_prefix(std::string_view name) {
  return name.size() >= kOwnPrefix.size() && equals_ignore_case(name.substr(0, kOwnPrefix.size()), kOwnPrefix);
}

template <std::size_t N>
bool is_one_of(std::string_view name, const std::array<std::string_view, N>& names) {
  for (const std::string_view known : names) {
    if (equals_ignore_case(name, known)) return true;
  }
  return false;
}

constexpr std::array<std::string_view, 8> kStaysHere{"authorization",   "x-api-key",    "api-key",          "cookie",
                                                     "accept-encoding", "content-type", "content-encoding", "via"};

constexpr std::array<std::string_view, 8> kStaysThere{
    "set-cookie", "x-request-id", "content-type", "date", "server", "alt-svc", "via", "strict-transport-security"};

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

void append_field(std::string& out, const http::Header& field) {
  out.append(field.name).append(": ").append(field.value).append("\r\n");
}

}  // namespace

std::string request_head(const backend::Backend& backend, const http::Headers& client, std::size_t body_bytes) {
  std::string out;
  out.reserve(backend.chat_head().size() + 512);
  out += backend.chat_head();
  for (const http::Header& field : client) {
    if (http::is_hop_by_hop(field.name) || is_one_of(field.name, kStaysHere) || has_own_prefix(field.name) ||
        is_connections_own(client, field.name) || backend.overrides(field.name)) {
      continue;
    }
    append_field(out, field);
  }
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, body_bytes).ptr;
  out.append("Content-Length: ").append(digits, static_cast<std::size_t>(end - digits)).append("\r\n\r\n");
  return out;
}

void append_response_fields(std::string& out, const http::Headers& upstream) {
  for (const http::Header& field : upstream) {
    if (http::is_hop_by_hop(field.name) || is_one_of(field.name, kStaysThere) || has_own_prefix(field.name) ||
        is_connections_own(upstream, field.name)) {
      continue;
    }
    append_field(out, field);
  }
}

}  // namespace spillway::attempt
