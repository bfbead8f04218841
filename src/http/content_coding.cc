#include "http/content_coding.h"

#include <zlib.h>

#include <algorithm>
#include <memory>

#include "base/text.h"

namespace spillway::http {

namespace {

constexpr int kGzip = 15 + 16;  // of zlib's inflateInit2(): the largest window, in the frame of gzip
constexpr int kZlib = 15;
constexpr int kRaw = -15;

std::optional<std::string> inflated(std::string_view body, int frame, std::size_t most) {
  z_stream stream{};
  if (inflateInit2(&stream, frame) != Z_OK) return std::nullopt;
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(body.data()));
  stream.avail_in = static_cast<uInt>(body.size());
  std::string out;
  int status = Z_OK;
  while (status == Z_OK) {
    const std::size_t had = out.size();
    out.resize(std::min(most + 1, std::max<std::size_t>(had * 2, 4096)));
    if (out.size() == had) return std::nullopt;
    stream.next_out = reinterpret_cast<Bytef*>(out.data() + had);
    stream.avail_out = static_cast<uInt>(out.size() - had);
    status = inflate(&stream, Z_NO_FLUSH);
    out.resize(out.size() - stream.avail_out);
    if (status == Z_OK && stream.avail_in == 0 && out.size() == had) return std::nullopt;  // it is cut
  }
  if (status != Z_STREAM_END || out.size() > most) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::string> decode_content(std::string_view coding, std::string_view body, std::size_t most) {
  const std::string name = to_lower(coding);
  if (body.size() > most) return std::nullopt;
  if (name.empty() || name == "identity") return std::string(body);
  if (name == "gzip" || name == "x-gzip") return inflated(body, kGzip, most);
  if (name != "deflate") return std::nullopt;
  // Some servers leave zlib's frame out (RFC 9110, 8.4.1.2).
  if (auto framed = inflated(body, kZlib, most)) return framed;
  return inflated(body, kRaw, most);
}

}  // namespace spillway::http
