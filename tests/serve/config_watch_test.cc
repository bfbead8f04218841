#include "serve/config_watch.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace spillway::serve {
namespace {

namespace fs = std::filesystem;

class ConfigWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("config_watch_" + std::to_string(::getpid()));
    fs::create_directories(folder_);
    file_ = folder_ / "spillway.toml";
    write(file_, "one");
    watch_.watch({config::SeenFile{file_, file_state(file_)}});
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void write(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::trunc) << text; }

  fs::path folder_;
  fs::path file_;
  ConfigWatch watch_;
};

TEST_F(ConfigWatchTest, says_nothing_while_nothing_changes) {
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_change_is_told_once_and_after_two_looks) {
  write(file_, "another");
  EXPECT_FALSE(watch_.changed());
  EXPECT_TRUE(watch_.changed());
  EXPECT_FALSE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_file_that_is_still_written_is_waited_for) {
  for (const char* text : {"another", "another line", "another line and more"}) {
    write(file_, text);
    EXPECT_FALSE(watch_.changed());
  }
  EXPECT_TRUE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_file_that_was_replaced_has_changed) {
  write(folder_ / "new", "one");
  fs::rename(folder_ / "new", file_);
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_symbolic_link_that_was_turned_has_changed) {
  write(folder_ / "a", "aaa");
  write(folder_ / "b", "bbb");
  fs::create_symlink("a", folder_ / "link");
  watch_.watch({config::SeenFile{folder_ / "link", file_state(folder_ / "link")}});
  fs::create_symlink("b", folder_ / "link.new");
  fs::rename(folder_ / "link.new", folder_ / "link");
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_file_that_goes_and_comes_back_has_changed_twice) {
  fs::remove(file_);
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
  write(file_, "back");
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
}

TEST_F(ConfigWatchTest, what_was_written_after_it_was_read_is_a_change) {
  FileState read;
  EXPECT_EQ(*read_file(file_, 100, &read), "one");
  write(file_, "written before anybody watched");
  watch_.watch({config::SeenFile{file_, read}});
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
}

TEST_F(ConfigWatchTest, a_file_that_was_not_there_and_comes_is_a_change) {
  FileState read;
  EXPECT_FALSE(read_file(folder_ / "key", 100, &read).ok());
  watch_.watch({config::SeenFile{folder_ / "key", read}});
  EXPECT_FALSE(watch_.changed());
  write(folder_ / "key", "sk-1");
  watch_.changed();
  EXPECT_TRUE(watch_.changed());
}

}  // namespace
}  // namespace spillway::serve
