// Numbers that look random and are the same on every machine, for the same seed.
#pragma once

#include <cstdint>
#include <string_view>

namespace spillway::simulate {

// FNV-1a, 64 bits.
constexpr std::uint64_t hash_of(std::string_view text) {
  std::uint64_t hash = 14'695'981'039'346'656'037u;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1'099'511'628'211u;
  return hash;
}

// splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators"): the standard's distributions may
// differ from library to library.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E37'79B9'7F4A'7C15u);
    z = (z ^ (z >> 30u)) * 0xBF58'476D'1CE4'E5B9u;
    z = (z ^ (z >> 27u)) * 0x94D0'49BB'1331'11EBu;
    return z ^ (z >> 31u);
  }
  // From 0 to 1, without 1.
  double uniform() { return static_cast<double>(next() >> 11u) * 0x1.0p-53; }
  std::size_t below(std::size_t count) { return static_cast<std::size_t>(next() % count); }
  // Of a normal distribution with mean 0 and deviation 1: the sum of twelve uniform ones, which is near enough.
  double normal() {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += uniform();
    return sum;
  }

 private:
  std::uint64_t state_;
};

}  // namespace spillway::simulate
