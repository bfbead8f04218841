// What a GGUF header says, and whether the file is whole. Weights are never read.
//
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little-endian.
// Pure and bounded: any bytes may be given, memory stays proportional to a few short strings.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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

// All of the header that tells what running the model takes: the architecture's numbers, and what the tensors weigh.
struct GgufDetails {
  GgufInfo info;
  // Whole numbers and booleans of the metadata but the tokenizer's, scalars as arrays of one. At most kMaxNumbers keys
  // of at most kMaxElements each; what is beyond is left out.
  std::map<std::string, std::vector<std::int64_t>, std::less<>> numbers;
  std::string chat_template;          // its first kMaxTemplate bytes; empty: the model has none
  std::uint64_t vocabulary = 0;       // tokens
  std::uint64_t tensor_bytes = 0;     // of all tensors of known types
  std::uint64_t expert_bytes = 0;     // of them, those of experts of which a token uses some
  std::uint64_t embedding_bytes = 0;  // of token_embd.weight
  std::string embedding_type;         // "Q4_K"
  bool tied = true;                   // the output uses the embedding's weights: there is no output.weight

  static constexpr std::size_t kMaxNumbers = 1024;
  static constexpr std::size_t kMaxElements = 4096;
  static constexpr std::size_t kMaxTemplate = 64u << 10;

  // Of the architecture's own key ("attention.head_count"): that of `layer`, where it is told for each, else the same
  // for all. `otherwise` where it is not told, or out of the range of 0 to 2^31.
  [[nodiscard]] std::uint64_t number(std::string_view key, std::uint64_t otherwise = 0, std::size_t layer = 0) const;
  [[nodiscard]] const std::vector<std::int64_t>* array(std::string_view key) const;  // null: it is not told
};

// `head` is the beginning of a file of `file_size` bytes (head.size() <= file_size). Nothing: the
// header goes on beyond `head`, give more of it; never when `head` is the whole file. The Error is
// kCorrupt for a file that is broken or cut short, kInvalidArgument for one that is not a model in GGUF.
Result<std::optional<GgufInfo>> parse_gguf(std::string_view head, std::uint64_t file_size);

// The same, with all that counts for memory.
Result<std::optional<GgufDetails>> parse_gguf_details(std::string_view head, std::uint64_t file_size);

// parse_gguf over a file, of which only the header is read; messages begin with the path.
Result<GgufInfo> read_gguf(const std::filesystem::path& path);
Result<GgufDetails> read_gguf_details(const std::filesystem::path& path);

}  // namespace spillway::fleet
