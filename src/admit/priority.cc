#include "admit/priority.h"

#include <array>

namespace spillway::admit {

namespace {
constexpr std::array<std::string_view, kPriorities> kWords{"critical", "high", "normal", "batch"};
}  // namespace

std::string_view to_string(Priority priority) { return kWords[static_cast<std::size_t>(priority)]; }

std::optional<Priority> parse_priority(std::string_view word) {
  for (std::size_t i = 0; i < kWords.size(); ++i) {
    if (kWords[i] == word) return static_cast<Priority>(i);
  }
  return std::nullopt;
}

}  // namespace spillway::admit
