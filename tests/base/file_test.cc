#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <thread>

namespace spillway {
namespace {

namespace fs = std::filesystem;
using ::testing::Test;

class File : public Test {
 protected:
  void SetUp() override {
    std::string pattern = fs::temp_directory_path() / "spillway-file-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path folder_;
};

void expect_names(const Error& error, const fs::path& path) {
  EXPECT_NE(error.message.find(path.string()), std::string::npos) << error.message;
}

TEST_F(File, what_was_written_is_read_back) {
  const std::string content("binary \0 and \xff", 14);
  ASSERT_TRUE(write_file_atomically(folder_ / "a", content).ok());
  const auto read = read_file(folder_ / "a", 100);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, content);
}

TEST_F(File, writing_replaces_and_leaves_no_temporary_file) {
  ASSERT_TRUE(write_file_atomically(folder_ / "a", "old and longer").ok());
  ASSERT_TRUE(write_file_atomically(folder_ / "a", "new").ok());
  EXPECT_EQ(*read_file(folder_ / "a", 100), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(File, a_reader_sees_the_old_or_the_new_text_never_a_part) {
  const std::string old_text(200'000, 'o');
  const std::string new_text(300'000, 'n');
  ASSERT_TRUE(write_file_atomically(folder_ / "a", old_text).ok());
  std::atomic<bool> stop{false};
  std::atomic<int> reads{0};
  std::atomic<int> parts{0};
  std::thread reader([&] {
    while (!stop) {
      const auto read = read_file(folder_ / "a", 1 << 20);
      if (!read || (*read != old_text && *read != new_text)) ++parts;
      ++reads;
    }
  });
  for (int i = 0; i < 20 || reads < 20; ++i) {
    ASSERT_TRUE(write_file_atomically(folder_ / "a", i % 2 == 0 ? new_text : old_text).ok());
  }
  stop = true;
  reader.join();
  EXPECT_EQ(parts, 0);
}

TEST_F(File, what_killed_writers_left_goes_with_the_file) {
  for (const char* name : {"a", "a.tmp17", "a.tmp4711", "ab", "b.tmp1"}) {
    ASSERT_TRUE(write_file_atomically(folder_ / name, "x").ok());
  }
  remove_with_leftovers(folder_ / "a");
  remove_with_leftovers(folder_ / "never there");
  std::set<std::string> left;
  for (const auto& entry : fs::directory_iterator(folder_)) left.insert(entry.path().filename());
  EXPECT_EQ(left, (std::set<std::string>{"ab", "b.tmp1"}));
}

TEST_F(File, the_limit_holds_at_its_edge) {
  ASSERT_TRUE(write_file_atomically(folder_ / "a", std::string(100, 'x')).ok());
  EXPECT_TRUE(read_file(folder_ / "a", 100).ok());
  const auto read = read_file(folder_ / "a", 99);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kResourceExhausted);
  expect_names(read.error(), folder_ / "a");
  EXPECT_FALSE(read.error().hint.empty());
}

TEST_F(File, a_device_without_end_is_given_up_at_the_limit) {
  const auto read = read_file("/dev/zero", 1 << 20);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, ErrorCode::kResourceExhausted);
}

TEST_F(File, errors_name_the_path_and_the_mend) {
  const auto missing = read_file(folder_ / "nowhere" / "x", 10);
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  expect_names(missing.error(), folder_ / "nowhere" / "x");
  EXPECT_FALSE(missing.error().hint.empty());

  const auto folder = read_file(folder_, 10);
  ASSERT_FALSE(folder.ok());
  expect_names(folder.error(), folder_);

  const auto written = write_file_atomically(folder_ / "nowhere" / "x", "y");
  ASSERT_FALSE(written.ok());
  EXPECT_EQ(written.error().code, ErrorCode::kNotFound);
  expect_names(written.error(), folder_ / "nowhere" / "x");
}

TEST_F(File, a_folder_is_not_replaced_by_a_file) {
  fs::create_directory(folder_ / "d");
  const auto written = write_file_atomically(folder_ / "d", "x");
  ASSERT_FALSE(written.ok());
  expect_names(written.error(), folder_ / "d");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(File, system_errors_have_the_code_that_callers_act_on) {
  EXPECT_EQ(system_error("x", "p", ENOENT).code, ErrorCode::kNotFound);
  EXPECT_EQ(system_error("x", "p", EACCES).code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(system_error("x", "p", EROFS).code, ErrorCode::kPermissionDenied);
  EXPECT_EQ(system_error("x", "p", ENOSPC).code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(system_error("x", "p", EMFILE).code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(system_error("x", "p", EIO).code, ErrorCode::kUnavailable);
  EXPECT_EQ(system_error("cannot read", "/p", ENOENT).message, "cannot read /p: No such file or directory");
}

TEST_F(File, make_writable_directory_makes_parents_and_is_fine_when_it_is_there) {
  EXPECT_TRUE(make_writable_directory(folder_ / "a" / "b").ok());
  EXPECT_TRUE(make_writable_directory(folder_ / "a" / "b").ok());
  EXPECT_TRUE(fs::is_directory(folder_ / "a" / "b"));
}

TEST_F(File, make_writable_directory_refuses_a_file_in_its_place) {
  ASSERT_TRUE(write_file_atomically(folder_ / "f", "x").ok());
  for (const fs::path& path : {folder_ / "f", folder_ / "f" / "below"}) {
    const auto made = make_writable_directory(path);
    ASSERT_FALSE(made.ok()) << path;
    expect_names(made.error(), folder_ / "f");
  }
}

TEST_F(File, make_writable_directory_refuses_one_that_cannot_be_written) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may write everywhere";
  fs::create_directory(folder_ / "d");
  fs::permissions(folder_ / "d", fs::perms::owner_read);
  const auto made = make_writable_directory(folder_ / "d");
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, ErrorCode::kPermissionDenied);
}

TEST_F(File, a_descriptor_is_closed_once_by_its_last_owner) {
  const int raw = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(raw, 0);
  {
    FileDescriptor first(raw);
    FileDescriptor second(std::move(first));
    EXPECT_EQ(second.get(), raw);
    FileDescriptor third;
    EXPECT_FALSE(third.valid());
    third = std::move(second);
    EXPECT_EQ(third.get(), raw);
    EXPECT_NE(::fcntl(raw, F_GETFD), -1);
  }
  EXPECT_EQ(::fcntl(raw, F_GETFD), -1);
  FileDescriptor owner(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  const int released = owner.release();
  EXPECT_FALSE(owner.valid());
  EXPECT_EQ(::close(released), 0);
}

}  // namespace
}  // namespace spillway
