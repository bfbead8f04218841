#include "fleet/models/memory.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/text.h"
#include "fleet/models/ggml_types.h"

namespace spillway::fleet {

namespace {

constexpr std::uint64_t kCachePad = 256;   // cells are allocated in so many
constexpr std::uint64_t kMaxLayers = 512;  // LLAMA_MAX_LAYERS
constexpr std::uint64_t kFloat = 4;        // bytes
constexpr std::uint64_t kMaskElement = 2;  // F16

std::uint64_t times(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  return __builtin_mul_overflow(a, b, &out) ? UINT64_MAX : out;
}

std::uint64_t plus(std::uint64_t a, std::uint64_t b) {
  std::uint64_t out = 0;
  return __builtin_add_overflow(a, b, &out) ? UINT64_MAX : out;
}

std::uint64_t padded(std::uint64_t cells) { return plus(cells, kCachePad - 1) / kCachePad * kCachePad; }

std::uint64_t row_bytes(std::uint32_t type, std::uint64_t elements) {
  const std::optional<GgmlType> known = ggml_type(type);
  if (!known) return times(elements, kFloat);
  return times((elements + known->elements - 1) / known->elements, known->bytes);
}

// How architectures lay out their layers with a sliding window, where the file does not tell it for each: of `every`
// layers the last (or the first) sees everything.
struct WindowPattern {
  std::string_view architecture;
  std::uint64_t every;
  bool dense_first = false;
};
constexpr std::array<WindowPattern, 18> kWindowPatterns{{{"afmoe", 4},
                                                         {"cohere2", 4},
                                                         {"cohere2moe", 4, true},
                                                         {"exaone-moe", 4},
                                                         {"exaone4", 4},
                                                         {"gemma-embedding", 6},
                                                         {"gemma2", 2},
                                                         {"gemma3", 6},
                                                         {"gemma3n", 5},
                                                         {"gemma4", 6},
                                                         {"gpt-oss", 2},
                                                         {"llama4", 4},
                                                         {"mellum", 4},
                                                         {"modern-bert", 3, true},
                                                         {"olmo2", 4},
                                                         {"plamo3", 8},
                                                         {"smallthinker", 4, true},
                                                         {"step35", 4}}};
constexpr std::uint64_t kLlama4Chunk = 8192;  // attends within chunks of so many, though the file has no such key

struct Layer {
  bool attends = true;     // has keys and values
  bool recurrent = false;  // has a state
  bool windowed = false;
};

std::uint64_t window_of(const GgufDetails& model) {
  return model.number("attention.sliding_window", model.info.architecture == "llama4" ? kLlama4Chunk : 0);
}

bool is_windowed(const GgufDetails& model, std::size_t layer) {
  if (window_of(model) == 0) return false;
  const auto pattern = std::ranges::find(kWindowPatterns, model.info.architecture, &WindowPattern::architecture);
  const std::vector<std::int64_t>* told = model.array("attention.sliding_window_pattern");
  if (told != nullptr && told->size() > 1) return layer < told->size() && (*told)[layer] != 0;
  if (pattern == kWindowPatterns.end()) return false;
  const std::uint64_t every = told != nullptr ? model.number("attention.sliding_window_pattern") : pattern->every;
  if (every == 0) return true;
  return pattern->dense_first ? layer % every != 0 : layer % every < every - 1;
}

// Both where it cannot be told apart is more than it takes; neither never.
Layer layer_of(const GgufDetails& model, std::size_t layer) {
  const std::string_view architecture = model.info.architecture;
  const bool has_state = model.number("ssm.state_size") > 0 || model.number("wkv.head_size") > 0 ||
                         model.number("shortconv.l_cache") > 0 || model.number("kda.head_dim") > 0;
  Layer out;
  out.windowed = is_windowed(model, layer);
  const std::uint64_t shared = model.number("attention.shared_kv_layers");
  const std::uint64_t layers = model.number("block_count");
  if (shared > 0 && shared < layers && layer >= layers - shared) out.attends = false;
  if (architecture == "gemma3n" && layer >= 20) out.attends = false;  // its later layers use the keys of earlier ones
  if (!has_state) return out;
  const std::uint64_t heads =
      model.number("attention.head_count_kv", model.number("attention.head_count", 0, layer), layer);
  const std::vector<std::int64_t>* told = model.array("attention.recurrent_layers");
  const std::uint64_t interval = model.number("full_attention_interval", architecture.starts_with("qwen3") ? 4 : 0);
  if (architecture == "falcon-h1") {
    out.recurrent = true;
  } else if (told != nullptr && layer < told->size()) {
    out.recurrent = (*told)[layer] != 0;
  } else if (interval > 0) {
    out.recurrent = (layer + 1) % interval != 0;
  } else {
    out.recurrent = heads == 0 && (architecture != "nemotron_h" || model.number("feed_forward_length", 0, layer) == 0);
  }
  if (architecture != "falcon-h1") out.attends = out.attends && heads > 0 && !out.recurrent;
  return out;
}

// Elements of a recurrent layer's state in one slot.
std::uint64_t state_elements(const GgufDetails& model) {
  const std::uint64_t embedding = model.number("embedding_length");
  const std::uint64_t heads = model.number("attention.head_count");
  if (const std::uint64_t wkv = model.number("wkv.head_size"); wkv > 0) {
    return plus(times(model.number("token_shift_count", 2), embedding), times(embedding, wkv));
  }
  if (const std::uint64_t conv = model.number("shortconv.l_cache"); conv > 0) return times(embedding, conv - 1);
  const std::uint64_t conv = std::max<std::uint64_t>(model.number("ssm.conv_kernel"), 1) - 1;
  if (const std::uint64_t head = model.number("kda.head_dim"); head > 0) {
    return plus(times(3 * conv, times(heads, head)), times(times(head, head), heads));
  }
  const std::uint64_t inner = model.number("ssm.inner_size");
  const std::uint64_t state = model.number("ssm.state_size");
  return plus(times(conv, plus(inner, times(2 * model.number("ssm.group_count"), state))), times(state, inner));
}

// Per attention head.
struct HeadWidth {
  std::uint64_t key;
  std::uint64_t value;
};

HeadWidth head_width(const GgufDetails& model, bool windowed) {
  const std::uint64_t heads = std::max<std::uint64_t>(model.number("attention.head_count"), 1);
  const std::uint64_t usual = model.number("embedding_length") / heads;
  HeadWidth out{model.number("attention.key_length", usual), model.number("attention.value_length", usual)};
  if (windowed) {
    out.key = model.number("attention.key_length_swa", out.key);
    out.value = model.number("attention.value_length_swa", out.value);
  }
  return out;
}

bool is_latent(const GgufDetails& model) { return model.number("attention.key_length_mla") > 0; }

// Bytes of one cell of one layer.
std::uint64_t cell_bytes(const GgufDetails& model, const RunShape& shape, std::size_t layer, bool windowed) {
  const HeadWidth width = head_width(model, windowed);
  const std::uint64_t heads =
      model.number("attention.head_count_kv", model.number("attention.head_count", 0, layer), layer);
  const std::uint64_t key = row_bytes(shape.key_type, times(width.key, heads));
  // The values are a part of the keys there.
  if (is_latent(model)) return key;
  return plus(key, row_bytes(shape.value_type, times(width.value, heads)));
}

struct Cells {
  std::uint64_t all = 0;     // of one stream
  std::uint64_t window = 0;  // of one stream, of a layer with a sliding window
  std::uint64_t streams = 1;
};

Cells cells_of(const GgufDetails& model, const RunShape& shape) {
  Cells out;
  const std::uint64_t context = padded(shape.context);
  out.all = shape.unified ? padded(times(shape.context, shape.slots)) : context;
  out.streams = shape.unified ? 1 : shape.slots;
  const std::uint64_t batch = std::min(shape.batch, out.all);
  const std::uint64_t window = times(window_of(model), shape.unified ? shape.slots : 1);
  out.window = padded(std::min(out.all, plus(window, batch)));
  return out;
}

std::uint64_t cache_bytes(const GgufDetails& model, const RunShape& shape) {
  const std::uint64_t layers = std::min(model.number("block_count"), kMaxLayers);
  const Cells cells = cells_of(model, shape);
  const std::uint64_t state = times(state_elements(model), kFloat);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < layers; ++i) {
    const Layer layer = layer_of(model, i);
    if (layer.recurrent) sum = plus(sum, times(state, shape.slots));
    if (!layer.attends) continue;
    const std::uint64_t per_stream =
        times(layer.windowed ? cells.window : cells.all, cell_bytes(model, shape, i, layer.windowed));
    sum = plus(sum, times(per_stream, cells.streams));
  }
  return sum;
}

// Elements of activations for one token at the widest point of a layer: what is fitted. See docs/models.md.
std::uint64_t activation_elements(const GgufDetails& model) {
  const std::uint64_t embedding = model.number("embedding_length");
  std::uint64_t forward = 0;
  for (std::size_t i = 0; i < std::min(model.number("block_count"), kMaxLayers); ++i) {
    forward = std::max(forward, model.number("feed_forward_length", 0, i));
  }
  const std::uint64_t used = model.number("expert_used_count");
  const std::uint64_t expert = used == 0 ? 0 : model.number("expert_feed_forward_length", forward);
  const bool all_experts = used > 0 && model.number("leading_dense_block_count") == 0;
  const std::uint64_t dense = all_experts ? 0 : times(3, forward);
  const std::uint64_t sparse = plus(times(3, times(used, expert)), times(used, embedding));
  const std::uint64_t heads = model.number("attention.head_count");
  std::uint64_t attention = times(2, times(heads, head_width(model, false).key));
  if (is_latent(model)) {
    const std::uint64_t rank = model.number("attention.kv_lora_rank");
    const std::uint64_t rope = model.number("rope.dimension_count");
    const std::uint64_t key = model.number("attention.key_length_mla");
    attention = times(heads, plus(plus(2 * rank, rope), plus(key, key - std::min(rope, key))));
  }
  const std::uint64_t inner = times(model.number("ssm.inner_size"), 9) / 2;
  return plus(std::max({dense, sparse, attention, inner}), times(4, embedding));
}

std::uint64_t compute_bytes(const GgufDetails& model, const RunShape& shape) {
  const Cells cells = cells_of(model, shape);
  const std::uint64_t batch = std::min(shape.batch, padded(times(shape.context, shape.slots)));
  bool attends = false;
  bool windowed = false;
  for (std::size_t i = 0; i < std::min(model.number("block_count"), kMaxLayers); ++i) {
    const Layer layer = layer_of(model, i);
    attends = attends || (layer.attends && !layer.windowed);
    windowed = windowed || (layer.attends && layer.windowed);
  }
  // Who may see whom: a row for each token of the batch, of the stream that it belongs to.
  const std::uint64_t mask_row = times(plus(attends ? cells.all : 0, windowed ? cells.window : 0), kMaskElement);
  const std::uint64_t logits =
      times(times(shape.slots, plus(model.vocabulary, model.number("embedding_length"))), kFloat);
  return plus(plus(times(times(activation_elements(model), kFloat), batch), times(mask_row, batch)), logits);
}

// Types that llama.cpp lays out anew for its matrix kernels (ggml-cpu/repack.cpp, with AVX2): an embedding that is also
// the output is then there twice, once as it is in the file for the look-up of tokens.
bool is_repacked(std::string_view type) {
  return type == "Q4_0" || type == "Q4_K" || type == "IQ4_NL" || type == "MXFP4";
}

}  // namespace

std::uint64_t MemoryUse::total() const { return plus(plus(weights, cache), compute); }

MemoryUse estimate_memory(const GgufDetails& model, const RunShape& shape) {
  MemoryUse out;
  out.weights = model.tensor_bytes;
  if (model.tied && is_repacked(model.embedding_type)) out.weights = plus(out.weights, model.embedding_bytes);
  out.cache = cache_bytes(model, shape);
  out.compute = compute_bytes(model, shape);
  return out;
}

std::optional<std::uint64_t> largest_context(const GgufDetails& model, RunShape shape, std::uint64_t bytes) {
  const auto fits = [&](std::uint64_t steps) {
    shape.context = steps * kCachePad;
    return estimate_memory(model, shape).total() <= bytes;
  };
  std::uint64_t low = 1;
  std::uint64_t high = std::max<std::uint64_t>(model.info.context_length / kCachePad, 1);
  high = std::min<std::uint64_t>(high, std::uint64_t{1} << 24);
  if (!fits(low)) return std::nullopt;
  while (low < high) {
    const std::uint64_t middle = low + (high - low + 1) / 2;
    if (fits(middle)) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  return low * kCachePad;
}

std::uint64_t bytes_per_token(const GgufDetails& model) {
  const std::uint64_t experts = model.number("expert_count");
  const std::uint64_t used = std::min(model.number("expert_used_count", experts), experts);
  std::uint64_t bytes = model.tensor_bytes;
  if (experts > 0) bytes -= model.expert_bytes / experts * (experts - used);
  // A look-up reads one row of an embedding that is nothing else.
  if (!model.tied) bytes -= std::min(bytes, model.embedding_bytes);
  return bytes;
}

std::optional<std::uint32_t> cache_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::uint32_t>, 9> kCacheTypes{{{"f32", 0},
                                                                                   {"f16", 1},
                                                                                   {"bf16", 30},
                                                                                   {"q8_0", 8},
                                                                                   {"q4_0", 2},
                                                                                   {"q4_1", 3},
                                                                                   {"iq4_nl", 20},
                                                                                   {"q5_0", 6},
                                                                                   {"q5_1", 7}}};
  const std::string lower = to_lower(name);
  const auto found =
      std::ranges::find(kCacheTypes, std::string_view(lower), &std::pair<std::string_view, std::uint32_t>::first);
  if (found == kCacheTypes.end()) return std::nullopt;
  return found->second;
}

}  // namespace spillway::fleet
