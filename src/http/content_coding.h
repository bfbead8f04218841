// Bodies that come compressed, though nobody asked for it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::http {

// `body` without its Content-Encoding (RFC 9110, 8.4.1): gzip, x-gzip, deflate with or without zlib's frame, identity.
// Nothing: another coding, or several; damaged or cut; or more than `most` bytes.
std::optional<std::string> decode_content(std::string_view coding, std::string_view body, std::size_t most);

}  // namespace spillway::http
