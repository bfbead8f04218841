// A config of any bytes is read without harm; one that is right is printed so that it reads back alike.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/load.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace spillway::config;
  const Environment environment = [](const std::string& name) -> std::optional<std::string> {
    if (name == "DEEPSEEK_API_KEY" || name == "KEY") return "sk-1";
    return std::nullopt;
  };
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (text.find("file:") != std::string_view::npos) return 0;  // no reading of files that the fuzzer names
  const Loaded loaded = load_text(text, "f.toml", environment);
  if (loaded.config.has_value() != loaded.problems.empty()) std::abort();
  if (!loaded.config) return 0;
  const Loaded again = load_text(print(*loaded.config), "f.toml", environment);
  if (!again.config || !(*again.config == *loaded.config)) std::abort();
  return 0;
}
