#include "fleet/models/store.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "fleet/gguf_bytes.h"
#include "fleet/models/sha256.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

namespace fs = std::filesystem;
using testing::content_of;
using ::testing::HasSubstr;
using testing::tiny_gguf;

class StoreTest : public ::testing::Test {
 protected:
  Result<Model> import(const fs::path& file, const std::string& name, const std::string& sha256 = {}) {
    return store_.import({file, name, sha256, "MIT", "a test"});
  }

  [[nodiscard]] std::size_t files_in(const fs::path& folder) const {
    std::size_t count = 0;
    std::error_code ec;
    for (const auto& entry : fs::recursive_directory_iterator(store_.folder() / folder, ec)) {
      count += entry.is_regular_file() ? 1 : 0;
    }
    return count;
  }

  testing::TemporaryFolder folder_;
  Store store_{folder_.path() / "models"};
};

std::string digest_of(const std::string& content) {
  Sha256 sha256;
  sha256.update(content.data(), content.size());
  return sha256.finish();
}

TEST_F(StoreTest, an_imported_model_is_found_whole) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  const auto imported = import(file, "tiny:1b");
  ASSERT_TRUE(imported.ok()) << imported.error().message;
  const auto found = store_.find("tiny:1b");
  ASSERT_TRUE(found.ok()) << found.error().message;
  EXPECT_EQ(found->digest, digest_of(tiny_gguf()));
  EXPECT_EQ(found->license, "MIT");
  EXPECT_EQ(found->source, "a test");
  EXPECT_EQ(found->gguf.parameters, 96u);
  EXPECT_EQ(content_of(found->path), tiny_gguf());
  EXPECT_EQ(found->imported_at.size(), std::string("2026-11-23T21:25:00Z").size());
}

TEST_F(StoreTest, the_same_content_is_kept_once) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  ASSERT_TRUE(import(file, "a").ok());
  ASSERT_TRUE(import(file, "a").ok());
  ASSERT_TRUE(import(file, "b:2", digest_of(tiny_gguf())).ok());
  EXPECT_EQ(files_in("blobs"), 1u);
  EXPECT_EQ(files_in("manifests"), 2u);
}

TEST_F(StoreTest, other_content_takes_a_name_over_and_drops_what_nobody_names) {
  ASSERT_TRUE(import(folder_.write("one.gguf", tiny_gguf('1')), "a").ok());
  ASSERT_TRUE(import(folder_.write("two.gguf", tiny_gguf('2')), "a").ok());
  EXPECT_EQ(files_in("blobs"), 1u);
  EXPECT_EQ(store_.find("a")->digest, digest_of(tiny_gguf('2')));
}

TEST_F(StoreTest, another_digest_than_asked_for_leaves_nothing_behind) {
  const auto refused = import(folder_.write("tiny.gguf", tiny_gguf()), "tiny", std::string(64, '0'));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr(digest_of(tiny_gguf())));
  EXPECT_EQ(files_in("blobs") + files_in("manifests"), 0u);
}

TEST_F(StoreTest, digests_are_compared_without_case_and_refused_when_they_are_none) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  std::string upper = digest_of(tiny_gguf());
  for (char& c : upper) c = static_cast<char>(c >= 'a' ? c - 32 : c);
  EXPECT_TRUE(import(file, "a", upper).ok());
  EXPECT_EQ(import(file, "b", "123").error().code, ErrorCode::kInvalidArgument);
}

TEST_F(StoreTest, a_broken_file_changes_nothing) {
  ASSERT_TRUE(import(folder_.write("good.gguf", tiny_gguf()), "a").ok());
  const auto refused = import(folder_.write("cut.gguf", tiny_gguf().substr(0, 300)), "a");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kCorrupt);
  EXPECT_THAT(refused.error().message, HasSubstr("cut.gguf"));
  EXPECT_TRUE(store_.find("a").ok());
}

TEST_F(StoreTest, one_part_of_a_split_model_is_refused_with_the_mend) {
  testing::GgufBytes part;
  part.header(1, 2).text_value("general.architecture", "llama").uint32_value("split.count", 3);
  const auto refused = import(folder_.write("part.gguf", part.tensor("t", 32, 1, 0, 0).pad().data(128).bytes()), "a");
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().hint, HasSubstr("--merge"));
}

TEST_F(StoreTest, what_a_killed_import_left_is_removed_by_the_next) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  ASSERT_TRUE(import(file, "a").ok());
  folder_.write("models/blobs/.import-123", "half a model");
  ASSERT_TRUE(import(file, "b").ok());
  EXPECT_EQ(files_in("blobs"), 1u);
}

TEST_F(StoreTest, a_model_that_is_not_there_is_named_with_what_is_and_a_hint) {
  const auto nothing = store_.find("absent:1b");
  ASSERT_FALSE(nothing.ok());
  EXPECT_EQ(nothing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(nothing.error().message, HasSubstr("there: none"));
  ASSERT_TRUE(import(folder_.write("tiny.gguf", tiny_gguf()), "tiny").ok());
  const auto other = store_.find("absent:1b");
  EXPECT_THAT(other.error().message, HasSubstr("absent:1b"));
  EXPECT_THAT(other.error().message, HasSubstr("tiny:latest"));
  EXPECT_FALSE(other.error().hint.empty());
}

TEST_F(StoreTest, missing_or_cut_weights_are_corrupt) {
  ASSERT_TRUE(import(folder_.write("tiny.gguf", tiny_gguf()), "a").ok());
  fs::resize_file(store_.find("a")->path, 10);
  EXPECT_EQ(store_.find("a").error().code, ErrorCode::kCorrupt);
  // and mended by importing again
  ASSERT_TRUE(import(folder_.path() / "tiny.gguf", "a").ok());
  EXPECT_TRUE(store_.find("a").ok());
}

TEST_F(StoreTest, lists_in_order_and_leaves_out_what_is_broken) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  for (const char* name : {"b:2", "a:1", "b:1"}) ASSERT_TRUE(import(file, name).ok());
  folder_.write("models/manifests/c/1.json", "{");
  folder_.write("models/manifests/stray.txt", "");
  const auto models = store_.list();
  ASSERT_TRUE(models.ok());
  std::string names;
  for (const Model& model : *models) names += model.name.to_string() + " ";
  EXPECT_EQ(names, "a:1 b:1 b:2 ");
  EXPECT_TRUE(Store(folder_.path() / "nowhere").list()->empty());
}

TEST_F(StoreTest, removing_keeps_weights_that_another_name_has) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  ASSERT_TRUE(import(file, "a").ok());
  ASSERT_TRUE(import(file, "b").ok());
  ASSERT_TRUE(store_.remove("a").ok());
  EXPECT_FALSE(store_.find("a").ok());
  EXPECT_TRUE(store_.find("b").ok());
  ASSERT_TRUE(store_.remove("b").ok());
  EXPECT_EQ(files_in("blobs") + files_in("manifests"), 0u);
  EXPECT_EQ(store_.remove("b").error().code, ErrorCode::kNotFound);
}

TEST_F(StoreTest, resolves_names_and_paths) {
  const fs::path file = folder_.write("tiny.gguf", tiny_gguf());
  ASSERT_TRUE(import(file, "a").ok());
  EXPECT_EQ(store_.resolve("a")->name.to_string(), "a:latest");
  const auto by_path = store_.resolve(file.string());
  ASSERT_TRUE(by_path.ok());
  EXPECT_EQ(by_path->path, file);
  EXPECT_EQ(by_path->display_name(), "tiny");
  const auto away = store_.resolve("./away.gguf");
  EXPECT_EQ(away.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(away.error().message, HasSubstr("away.gguf"));
}

// Runs `body` in a child process; its exit code.
int in_child(const std::function<int()>& body) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(body());
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

TEST_F(StoreTest, a_write_that_fails_in_the_middle_leaves_nothing_behind) {
  // Larger than one block of the copy, and of the limit on files below.
  testing::GgufBytes file;
  file.header(1, 1).text_value("general.architecture", "llama").tensor("t", 1u << 20, 1, 0, 0).pad().data(4u << 20);
  const fs::path path = folder_.write("large.gguf", file.bytes());
  const int code = in_child([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{2u << 20, 2u << 20};
    if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return 2;
    const auto refused = import(path, "large");
    if (refused.ok()) return 3;
    return refused.error().code == ErrorCode::kResourceExhausted && !refused.error().hint.empty() ? 0 : 4;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(files_in("blobs") + files_in("manifests"), 0u);
}

TEST_F(StoreTest, a_full_disk_is_told_before_anything_is_written) {
  fs::create_directories(store_.folder());
  if (::mount("spillway-test", store_.folder().c_str(), "tmpfs", 0, "size=1m") != 0) {
    GTEST_SKIP() << "only root may mount a small file system";
  }
  testing::GgufBytes file;
  file.header(1, 1).text_value("general.architecture", "llama").tensor("t", 1u << 20, 1, 0, 0).pad().data(4u << 20);
  const auto refused = import(folder_.write("large.gguf", file.bytes()), "large");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(refused.error().message, HasSubstr("bytes are needed"));
  EXPECT_EQ(files_in("blobs") + files_in("manifests"), 0u);
  EXPECT_TRUE(import(folder_.write("tiny.gguf", tiny_gguf()), "tiny").ok());
  EXPECT_EQ(::umount(store_.folder().c_str()), 0);
}

TEST_F(StoreTest, a_folder_that_cannot_be_made_is_named) {
  folder_.write("file", "");
  Store store(folder_.path() / "file" / "models");
  const auto refused = store.import({folder_.write("tiny.gguf", tiny_gguf()), "tiny", {}, {}, {}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("/file/models"));
}

TEST_F(StoreTest, several_processes_may_import_at_once) {
  constexpr int kProcesses = 4;
  constexpr int kRounds = 8;
  const fs::path one = folder_.write("one.gguf", tiny_gguf('1'));
  const fs::path two = folder_.write("two.gguf", tiny_gguf('2'));
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      bool fine = true;
      for (int round = 0; round < kRounds; ++round) {
        fine = fine && import((process + round) % 2 == 0 ? one : two, "shared").ok();
        fine = fine && import(one, "own" + std::to_string(process)).ok() && store_.list().ok();
        if (round % 3 == 2) fine = fine && store_.remove("own" + std::to_string(process)).ok();
      }
      ::_exit(fine ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  const auto models = store_.list();
  ASSERT_TRUE(models.ok());
  EXPECT_EQ(models->size(), 1u + kProcesses);
  for (const Model& model : *models) EXPECT_EQ(digest_of(content_of(model.path)), model.digest);
  EXPECT_EQ(files_in("blobs"), store_.find("shared")->digest == digest_of(tiny_gguf('1')) ? 1u : 2u);
}

}  // namespace
}  // namespace spillway::fleet
