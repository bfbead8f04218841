// What a model takes in memory before it is loaded: weights, cache of the context, room to compute in.
//
// The arithmetic of llama.cpp v0.5.0 (llama-kv-cache*.cpp, llama-memory-recurrent.cpp, llama-hparams.cpp), and for the
// room to compute in a formula that its own figures were fitted to: docs/models.md. Held to 5 % or 32 MiB of what the
// engine says itself by tests/e2e/test_memory.py. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/models/gguf.h"

namespace spillway::fleet {

// How it is to be run.
struct RunShape {
  std::uint64_t context = 4096;  // tokens of each answer
  std::uint64_t slots = 1;       // answers at a time
  std::uint64_t batch = 512;     // tokens computed at a time (--ubatch-size)
  std::uint32_t key_type = 1;    // of the cache: a GGML type; F16
  std::uint32_t value_type = 1;
  bool unified = false;  // the slots share one cache (--kv-unified)
};

struct MemoryUse {
  std::uint64_t weights = 0;  // bytes
  std::uint64_t cache = 0;    // of keys and values, or recurrent state, of all slots
  std::uint64_t compute = 0;

  [[nodiscard]] std::uint64_t total() const;  // saturates
  bool operator==(const MemoryUse&) const = default;
};

// Saturates rather than overflows: the numbers come from a file.
MemoryUse estimate_memory(const GgufDetails& model, const RunShape& shape);

// The largest context (a multiple of 256, at most what the model was trained for) with which it takes at most `bytes`;
// nothing where not even the smallest fits.
std::optional<std::uint64_t> largest_context(const GgufDetails& model, RunShape shape, std::uint64_t bytes);

// Bytes that are read for one token of one answer: all weights but the experts that it does not use.
std::uint64_t bytes_per_token(const GgufDetails& model);

// The GGML type that an engine option names ("q8_0"); nothing for other words.
std::optional<std::uint32_t> cache_type(std::string_view name);

}  // namespace spillway::fleet
