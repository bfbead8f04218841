// What is common to HTTP/1.1 requests and responses (RFC 9110, RFC 9112).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace spillway::http {

enum class Method : std::uint8_t { kGet, kHead, kPost, kPut, kDelete, kOptions, kPatch, kOther };

struct Header {
  std::string_view name;
  std::string_view value;
};

// Header fields in the order in which they came. Views: valid as long as what they were read from.
class Headers {
 public:
  void clear() { fields_.clear(); }
  void reserve(std::size_t count) { fields_.reserve(count); }
  void add(std::string_view name, std::string_view value) { fields_.push_back({name, value}); }

  // The first field of that name, empty when there is none. Names are compared without case.
  [[nodiscard]] std::string_view get(std::string_view name) const {
    for (const Header& field : fields_) {
      if (equals_ignore_case(field.name, name)) return field.value;
    }
    return {};
  }
  [[nodiscard]] bool has(std::string_view name) const {
    for (const Header& field : fields_) {
      if (equals_ignore_case(field.name, name)) return true;
    }
    return false;
  }
  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }
  [[nodiscard]] std::size_t size() const { return fields_.size(); }

 private:
  std::vector<Header> fields_;
};

// A whole request. Views into the connection's buffer; valid until its response has been sent.
struct Request {
  Method method = Method::kOther;
  std::string_view target;  // as it came: path and query
  std::string_view path;    // before the first '?'
  Headers headers;
  std::string_view body;  // at least ByteBuffer::kPadding readable bytes lie behind it
  bool keep_alive = true;
  bool http_1_0 = false;
};

// Reason phrase of a status that Spillway itself sends or passes on; "Unknown" for others.
std::string_view reason_phrase(int status);

// Fields that concern only one connection and are never forwarded (RFC 9110, 7.6.1), and those
// that the sender of a message sets itself.
bool is_hop_by_hop(std::string_view name);

}  // namespace spillway::http
