// What a GGUF header says, and whether the file is whole. Weights are never read.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
// Pure and bounded: any bytes may be given, memory stays proportional to a few short strings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::fleet {

struct GgufInfo {
  std::uint32_t version = 0;
  std::string architecture;          // "llama", "qwen2"
  std::string name;                  // general.name; may be empty; control bytes are replaced
  std::uint64_t parameters = 0;      // elements of all tensors
  std::uint64_t context_length = 0;  // tokens the model was trained for; 0: not told
  std::string quantization;          // "Q4_K_M"; empty: not known
  std::uint64_t tensors = 0;
  std::uint64_t split_count = 1;  // above 1: the file is one part of so many
  std::uint64_t file_size = 0;    // bytes

  bool operator==(const GgufInfo&) const = default;
};

// `head` is the beginning of a file of `file_size` bytes (head.size() <= file_size). Nothing: the
// header goes on beyond `head`, give more of it; never when `head` is the whole file. The Error is
// kCorrupt for a file that is broken or cut short, kInvalidArgument for one that is not a model in GGUF.
Result<std::optional<GgufInfo>> parse_gguf(std::string_view head, std::uint64_t file_size);

// parse_gguf over a file, of which only the header is read; messages begin with the path.
Result<GgufInfo> read_gguf(const std::filesystem::path& path);

}  // namespace spillway::fleet
