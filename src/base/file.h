// Files, with failures as values whose message names the file and whose hint names the mend.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace spillway {

// An owned file descriptor; closed on destruction.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  ~FileDescriptor();

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// An Error for the system call that just failed with `error_number` on `path`: "what PATH: why".
Error system_error(std::string_view what, const std::filesystem::path& path, int error_number);

// By what a change of a file is noticed. Equal: nothing was written to it, and no other was put in its place.
struct FileState {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::int64_t size = -1;  // bytes; -1: it is not there
  std::int64_t modified_ns = 0;
  bool operator==(const FileState&) const = default;
};
FileState file_state(const std::filesystem::path& path);

// The whole file, at most `limit` bytes; larger is kResourceExhausted. `state` becomes that of the file that was read,
// from before it was read: what is written to it meanwhile makes it differ from file_state().
Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit, FileState* state = nullptr);

// Replaces `path` with `content` so that a reader sees the old or the new text, never a part
// (temporary file beside it, fsync, rename).
Status write_file_atomically(const std::filesystem::path& path, std::string_view content);

// Removes `path`, where it is, and the temporary files that writers left beside it which were killed.
void remove_with_leftovers(const std::filesystem::path& path);

// Makes the folder and its parents; fine when it is there. Fails where it cannot be written to.
Status make_writable_directory(const std::filesystem::path& path);

}  // namespace spillway
