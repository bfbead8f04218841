// The address of an upstream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::http {

// scheme://host[:port][/path], nothing else; see parse_url().
struct Url {
  bool tls = false;
  std::string host;  // without brackets
  std::uint16_t port = 80;
  std::string path;  // without trailing slashes; may be empty

  // As a Host field: brackets around IPv6, the port where it is not the scheme's own.
  [[nodiscard]] std::string authority() const;
  bool operator==(const Url&) const = default;
};

// kInvalidArgument for anything but http and https, and for userinfo, query, fragment or a port
// out of range (RFC 3986).
Result<Url> parse_url(std::string_view text);

}  // namespace spillway::http
