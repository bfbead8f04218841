#include "http/url.h"

#include <charconv>

namespace spillway::http {

namespace {

Error bad(std::string_view text, std::string why) {
  return Error{ErrorCode::kInvalidArgument, "\"" + std::string(text) + "\" " + std::move(why),
               "write it as https://HOST[:PORT][/PATH]"};
}

}  // namespace

std::string Url::authority() const {
  std::string out = host.find(':') == std::string::npos ? host : "[" + host + "]";
  if (port != (tls ? 443 : 80)) out += ":" + std::to_string(port);
  return out;
}

Result<Url> parse_url(std::string_view text) {
  Url url;
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    url.tls = true;
    url.port = 443;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return bad(text, "does not begin with http:// or https://");
  }
  for (const char c : rest) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F) return bad(text, "holds white space or control characters");
  }
  if (rest.find_first_of("?#") != std::string_view::npos) return bad(text, "has a query or a fragment");
  const std::size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (slash != std::string_view::npos) url.path = rest.substr(slash);
  while (url.path.ends_with('/')) url.path.pop_back();
  if (authority.find('@') != std::string_view::npos) return bad(text, "holds a user name; use api_key");

  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return bad(text, "has no ] after its IPv6 address");
    url.host = authority.substr(1, close - 1);
    std::string_view behind = authority.substr(close + 1);
    if (!behind.empty() && behind.front() != ':') return bad(text, "is malformed after its host");
    if (!behind.empty()) port = behind.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    url.host = authority.substr(0, colon);
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (url.host.empty()) return bad(text, "names no host");
  if (!port.empty()) {
    unsigned number = 0;
    const auto parsed = std::from_chars(port.data(), port.data() + port.size(), number);
    if (parsed.ec != std::errc() || parsed.ptr != port.data() + port.size() || number == 0 || number > 65535) {
      return bad(text, "has a port that is not from 1 to 65535");
    }
    url.port = static_cast<std::uint16_t>(number);
  }
  return url;
}

}  // namespace spillway::http
