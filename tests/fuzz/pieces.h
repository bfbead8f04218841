// A fuzz input as a text and a way to split it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::fuzz {

// Pieces of `text` whose lengths follow `seed`: 1 to 16 bytes, at times more.
inline std::vector<std::string_view> split(std::string_view text, std::uint32_t seed) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    seed = seed * 1664525u + 1013904223u;
    std::size_t length = 1 + ((seed >> 24) & 15);
    if ((seed >> 16 & 15) == 0) length += 200;
    pieces.push_back(text.substr(0, length));
    text.remove_prefix(pieces.back().size());
  }
  return pieces;
}

// Ends the process where `good` does not hold, so that the fuzzer keeps the input.
inline void require(bool good) {
  if (!good) std::abort();
}

// A number made of the whole input, so that corpus files are plain messages.
inline std::uint32_t seed_of(const std::uint8_t* data, std::size_t size) {
  std::uint32_t seed = 2166136261u;
  for (std::size_t i = 0; i < size; ++i) seed = (seed ^ data[i]) * 16777619u;
  return seed;
}

inline std::string_view view(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace spillway::fuzz
