// GGUF files by hand, whole and otherwise.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace spillway::fleet::testing {

enum GgufType : std::uint32_t {
  kGgufUint8 = 0,
  kGgufUint32 = 4,
  kGgufFloat32 = 6,
  kGgufString = 8,
  kGgufArray = 9,
  kGgufUint64 = 10
};

class GgufBytes {
 public:
  template <class T>
  GgufBytes& number(T value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    bytes_.append(bytes, sizeof value);
    return *this;
  }
  GgufBytes& raw(std::string_view text) {
    bytes_ += text;
    return *this;
  }
  GgufBytes& text(std::string_view value) { return number<std::uint64_t>(value.size()).raw(value); }
  GgufBytes& header(std::uint64_t tensors, std::uint64_t key_values, std::uint32_t version = 3) {
    return raw("GGUF").number(version).number(tensors).number(key_values);
  }
  GgufBytes& key(std::string_view name, std::uint32_t type) { return text(name).number(type); }
  GgufBytes& text_value(std::string_view name, std::string_view value) { return key(name, kGgufString).text(value); }
  GgufBytes& uint32_value(std::string_view name, std::uint32_t value) { return key(name, kGgufUint32).number(value); }
  GgufBytes& tensor(std::string_view name, std::uint64_t row, std::uint64_t rows, std::uint32_t type,
                    std::uint64_t offset) {
    return text(name).number<std::uint32_t>(2).number(row).number(rows).number(type).number(offset);
  }
  // Up to where the tensors' data begins.
  GgufBytes& pad(std::size_t alignment = 32) {
    while (bytes_.size() % alignment != 0) bytes_.push_back('\0');
    return *this;
  }
  GgufBytes& data(std::size_t size, char fill = 'w') {
    bytes_.append(size, fill);
    return *this;
  }
  [[nodiscard]] const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

// A whole model in a few hundred bytes: two tensors, 96 parameters. `fill` makes its digest another.
inline std::string tiny_gguf(char fill = 'w') {
  return GgufBytes()
      .header(2, 5)
      .text_value("general.architecture", "llama")
      .text_value("general.name", "Tiny")
      .uint32_value("general.file_type", 3)
      .uint32_value("llama.context_length", 2048)
      .key("tokenizer.ggml.tokens", kGgufArray)
      .number<std::uint32_t>(kGgufString)
      .number<std::uint64_t>(2)
      .text("<s>")
      .text("</s>")
      .tensor("token_embd.weight", 32, 2, 3, 0)    // Q4_1: 2 blocks of 20 bytes
      .tensor("output_norm.weight", 32, 1, 0, 64)  // F32
      .pad()
      .data(64 + 32 * 4, fill)
      .bytes();
}

}  // namespace spillway::fleet::testing
