#include "fleet/launcher/log_file.h"

#include <gtest/gtest.h>

#include <fstream>

#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using testing::content_of;

class LogFileTest : public ::testing::Test {
 protected:
  void append(std::string_view text) const { std::ofstream(path_, std::ios::app) << text; }

  testing::TemporaryFolder folder_;
  std::filesystem::path path_ = folder_.path() / "engine.log";
};

TEST_F(LogFileTest, the_tail_begins_at_the_mark) {
  LogFile log(path_);
  EXPECT_EQ(log.tail(100), "");
  append("old\n");
  EXPECT_EQ(log.tail(100), "old\n");
  log.mark();
  EXPECT_EQ(log.tail(100), "");
  append("new\n");
  EXPECT_EQ(log.tail(100), "new\n");
}

TEST_F(LogFileTest, a_long_tail_begins_with_a_whole_line) {
  LogFile log(path_);
  append("first\nsecond\nthird\n");
  EXPECT_EQ(log.tail(9), "third\n");
  EXPECT_EQ(log.tail(3), "");
}

TEST_F(LogFileTest, a_large_file_is_kept_once_and_emptied) {
  LogFile log(path_, 10);
  append("0123456789");
  log.rotate_if_large();
  EXPECT_EQ(content_of(path_).size(), 10u);
  append("x");
  log.mark();
  log.rotate_if_large();
  EXPECT_EQ(content_of(path_), "");
  EXPECT_EQ(content_of(path_.string() + ".1"), "0123456789x");
  append("after\n");
  EXPECT_EQ(log.tail(100), "after\n");
}

TEST_F(LogFileTest, a_file_that_was_emptied_by_others_has_no_tail) {
  LogFile log(path_);
  append("something\n");
  log.mark();
  std::ofstream(path_, std::ios::trunc) << "x";
  EXPECT_EQ(log.tail(100), "");
}

}  // namespace
}  // namespace spillway::fleet
