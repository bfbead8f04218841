// Feeding parsers of http/ in pieces.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "http/parser.h"

namespace spillway::http::testing {

inline void append(ByteBuffer& buffer, std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(buffer.prepare(bytes.size()).data(), bytes.data(), bytes.size());
  buffer.commit(bytes.size());
}

// What a message came to, as text that can be compared.
struct Read {
  ParseStatus status = ParseStatus::kNeedMore;
  int code = 0;      // of the refusal, or of a response
  std::string what;  // of a refusal
  std::string head;  // method or status, target, fields
  std::string body;
  std::string behind;  // what lies behind the message
  bool keep_alive = false;

  bool operator==(const Read&) const = default;
};

inline Read read_request(const std::vector<std::string_view>& pieces, ParserLimits limits = {}) {
  RequestParser parser(limits);
  ByteBuffer buffer;
  Read read;
  for (const std::string_view piece : pieces) {
    append(buffer, piece);
    if (read.status == ParseStatus::kNeedMore) read.status = parser.feed(buffer);
  }
  if (read.status == ParseStatus::kError) {
    read.code = parser.failure().status;
    read.what = parser.failure().what;
  }
  if (read.status != ParseStatus::kComplete) return read;
  Request request;
  parser.read(buffer, request);
  read.head = std::to_string(static_cast<int>(request.method)) + " " + std::string(request.target) + "\n";
  for (const Header& field : request.headers) {
    read.head.append("[").append(field.name).append("]=[").append(field.value).append("]\n");
  }
  read.body = request.body;
  read.behind = buffer.view(parser.consumed(), buffer.end());
  read.keep_alive = request.keep_alive;
  return read;
}

// With `ended` the connection ends behind the last piece.
inline Read read_response(const std::vector<std::string_view>& pieces, bool ended, ParserLimits limits = {}) {
  ResponseParser parser(limits);
  ByteBuffer buffer;
  Read read;
  for (const std::string_view piece : pieces) {
    append(buffer, piece);
    if (read.status == ParseStatus::kNeedMore) read.status = parser.feed(buffer);
  }
  if (ended && read.status == ParseStatus::kNeedMore) read.status = parser.finish();
  if (read.status == ParseStatus::kError) {
    read.code = parser.failure().status;
    read.what = parser.failure().what;
  }
  if (!parser.head_done() || read.status == ParseStatus::kError) return read;
  read.code = parser.status();
  Headers headers;
  parser.read_headers(buffer, headers);
  for (const Header& field : headers) {
    read.head.append("[").append(field.name).append("]=[").append(field.value).append("]\n");
  }
  read.body = buffer.view(parser.body_begin(), parser.body_end());
  if (read.status == ParseStatus::kComplete) read.behind = buffer.view(parser.consumed(), buffer.end());
  read.keep_alive = parser.keep_alive();
  return read;
}

inline std::vector<std::string_view> in_two(std::string_view text, std::size_t at) {
  return {text.substr(0, at), text.substr(at)};
}

inline std::vector<std::string_view> byte_by_byte(std::string_view text) {
  std::vector<std::string_view> pieces;
  for (std::size_t i = 0; i < text.size(); ++i) pieces.push_back(text.substr(i, 1));
  return pieces;
}

}  // namespace spillway::http::testing
