#include "cli/output.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>

namespace spillway::cli {

namespace {

std::string count_text(std::size_t mistakes) {
  if (mistakes == 0) return {};
  return std::to_string(mistakes) + (mistakes == 1 ? " mistake" : " mistakes") + "; nothing was started\n";
}

}  // namespace

bool print(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
  return std::fflush(stdout) == 0 && written;
}

void print_error(const Error& error) {
  std::string text = "error: " + error.message + "\n";
  if (!error.hint.empty()) text += "  mend: " + error.hint + "\n";
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_problems(const config::Loaded& loaded) {
  std::string text;
  for (const config::Problem& problem : loaded.problems) text += problem.to_string() + "\n";
  for (const config::Problem& warning : loaded.warnings) text += warning.to_string() + "\n";
  text += count_text(loaded.problems.size());
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void print_problems(const std::vector<config::Problem>& problems) {
  std::string text;
  for (const config::Problem& problem : problems) text += problem.to_string() + "\n";
  text += count_text(problems.size());
  std::fwrite(text.data(), 1, text.size(), stderr);
}

std::string size_text(std::uint64_t bytes) {
  constexpr std::array<const char*, 5> units{"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, units[unit]);
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

}  // namespace spillway::cli
