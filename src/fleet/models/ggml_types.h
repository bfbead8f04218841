// Sizes and names of what GGUF stores as bare numbers: tensor types and quantization mixes.
// Source: llama.cpp v0.5.0, ggml/include/ggml.h, ggml/src/ggml-common.h, include/llama.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace spillway::fleet {

// A tensor row is a whole number of blocks: `elements` numbers in `bytes` bytes each.
struct GgmlType {
  std::string_view name;
  std::uint32_t elements = 0;
  std::uint32_t bytes = 0;
};

// Nothing for types that this version does not know, or that were removed from the format.
std::optional<GgmlType> ggml_type(std::uint32_t type);

// The quantization that `general.file_type` means, as users know it ("Q4_K_M"); empty: not known.
std::string_view file_type_name(std::uint64_t file_type);

}  // namespace spillway::fleet
