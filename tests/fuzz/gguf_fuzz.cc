// The header of a GGUF file of any bytes, whole and cut short: no harm, and more bytes never make a
// broken header good.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "fleet/models/gguf.h"
#include "fleet/models/memory.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using spillway::fleet::parse_gguf;
  const std::string_view file(reinterpret_cast<const char*>(data), size);
  const auto whole = parse_gguf(file, size);
  // Of the whole file there is nothing more to ask for.
  if (whole.ok() && !whole.value().has_value()) std::abort();
  for (const std::size_t cut : {size / 4, size / 2, size - size / 8}) {
    const auto part = parse_gguf(file.substr(0, cut), size);
    if (!part.ok() && whole.ok()) std::abort();
    if (part.ok() && part.value().has_value() && (!whole.ok() || !(*part.value() == *whole.value()))) std::abort();
  }
  // What it says that it takes is computed without harm, and grows with the context.
  if (const auto details = spillway::fleet::parse_gguf_details(file, size); details.ok() && details.value()) {
    const auto small = spillway::fleet::estimate_memory(*details.value(), {.context = 512, .slots = 2});
    const auto large = spillway::fleet::estimate_memory(*details.value(), {.context = 1u << 20, .slots = 2});
    if (small.total() > large.total()) std::abort();
    static_cast<void>(spillway::fleet::largest_context(*details.value(), {}, std::uint64_t{1} << 34));
    if (spillway::fleet::bytes_per_token(*details.value()) > details.value()->tensor_bytes) std::abort();
  }
  // A file that claims to be far larger than what is there.
  static_cast<void>(parse_gguf(file, std::uint64_t{1} << 40));
  return 0;
}
