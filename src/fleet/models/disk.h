// Large files: space, writing at a place, and being sure that it is on the disk.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "base/file.h"
#include "base/result.h"

namespace spillway::fleet {

// kResourceExhausted, with the numbers, where `folder` has not `needed` bytes left for us.
Status check_free_space(const std::filesystem::path& folder, std::uint64_t needed);

// All of it, at `offset`; `path` is for the message.
Status write_at(int fd, const char* data, std::size_t size, off_t offset, const std::filesystem::path& path);

// That names which were made, changed or removed in it are on the disk.
Status sync_folder(const std::filesystem::path& folder);

// A file beside others that is removed again, unless it was renamed to what it is for.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::filesystem::path path);  // must not be there; fd() is below 0 where it cannot be made
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile();

  [[nodiscard]] int fd() const { return fd_.get(); }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  // Safely on the disk under its new name.
  Status become(const std::filesystem::path& target);

 private:
  std::filesystem::path path_;
  FileDescriptor fd_;
};

// Held by flock() until it is destroyed; the file is taken away then. Waits for who has it, and says so once:
// "waiting for " + `whom`.
class FileLock {
 public:
  static Result<FileLock> take(const std::filesystem::path& path, const std::string& whom);
  // The same without waiting; nothing where somebody has it.
  static std::optional<FileLock> try_take(const std::filesystem::path& path);
  FileLock(FileLock&&) noexcept = default;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  FileLock(std::filesystem::path path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::filesystem::path path_;
  FileDescriptor fd_;
};

}  // namespace spillway::fleet
