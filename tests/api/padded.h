// A text with the readable bytes behind it that simdjson needs, and not one more.
#pragma once

#include <cstring>
#include <memory>
#include <string_view>

#include "base/byte_buffer.h"

namespace spillway::api::testing {

class Padded {
 public:
  explicit Padded(std::string_view text)
      : bytes_(std::make_unique<char[]>(text.size() + ByteBuffer::kPadding)), size_(text.size()) {
    std::memcpy(bytes_.get(), text.data(), text.size());
    // What lies there in a connection's buffer is the next message, or an earlier one.
    std::memset(bytes_.get() + size_, '"', ByteBuffer::kPadding);
  }
  [[nodiscard]] std::string_view view() const { return {bytes_.get(), size_}; }

 private:
  std::unique_ptr<char[]> bytes_;
  std::size_t size_;
};

}  // namespace spillway::api::testing
