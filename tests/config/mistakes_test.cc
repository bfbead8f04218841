// Golden tests: mistakes/NAME.toml is refused with exactly the text of mistakes/NAME.expected.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "environment.h"

namespace spillway::config {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> cases() {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(SPILLWAY_SOURCE_DIR "/tests/config/mistakes")) {
    if (entry.path().extension() == ".toml") found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

std::string content(const fs::path& file) {
  std::ostringstream out;
  out << std::ifstream(file).rdbuf();
  return out.str();
}

class Mistakes : public testing::TestWithParam<fs::path> {};

TEST_P(Mistakes, are_told_all_at_once) {
  const fs::path file = GetParam();
  const auto loaded = load_text(content(file), file.filename(),
                                environment_of({{"SPACED_KEY", "a b"}, {"EMPTY_KEY", ""}, {"QUOTED_KEY", "\"sk-1\""}}));
  EXPECT_FALSE(loaded.config.has_value());
  std::string told;
  for (const Problem& problem : loaded.problems) told += problem.to_string() + "\n";
  fs::path expected = file;
  expected.replace_extension(".expected");
  // SPILLWAY_UPDATE_GOLDEN=1 writes the files anew: look at the difference before it is committed.
  if (std::getenv("SPILLWAY_UPDATE_GOLDEN") != nullptr) std::ofstream(expected) << told;
  EXPECT_EQ(told, content(expected));
}

INSTANTIATE_TEST_SUITE_P(Files, Mistakes, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<fs::path>& file) { return file.param.stem().string(); });

}  // namespace
}  // namespace spillway::config
