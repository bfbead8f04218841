#include "fleet/models/disk.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "base/log.h"

namespace spillway::fleet {

namespace fs = std::filesystem;

Status check_free_space(const fs::path& folder, std::uint64_t needed) {
  struct statvfs status{};
  if (::statvfs(folder.c_str(), &status) != 0) return system_error("cannot look at", folder, errno);
  const std::uint64_t free = std::uint64_t{status.f_bavail} * status.f_frsize;
  if (free >= needed) return {};
  return Error{ErrorCode::kResourceExhausted,
               "no space left in " + folder.string() + ": " + std::to_string(needed) + " bytes are needed, " +
                   std::to_string(free) + " are free",
               "free some space there, or name another folder with --data"};
}

Status write_at(int fd, const char* data, std::size_t size, off_t offset, const fs::path& path) {
  while (size > 0) {
    const ssize_t written = ::pwrite(fd, data, size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return system_error("cannot write", path, errno);
    data += written;
    offset += written;
    size -= static_cast<std::size_t>(written);
  }
  return {};
}

Status sync_folder(const fs::path& folder) {
  const FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0) return system_error("cannot sync folder", folder, errno);
  return {};
}

TemporaryFile::TemporaryFile(fs::path path)
    : path_(std::move(path)), fd_(::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) {}

TemporaryFile::~TemporaryFile() {
  if (fd_.valid() && !path_.empty()) ::unlink(path_.c_str());
}

Status TemporaryFile::become(const fs::path& target) {
  if (::fsync(fd_.get()) != 0) return system_error("cannot write", path_, errno);
  if (::rename(path_.c_str(), target.c_str()) != 0) return system_error("cannot replace", target, errno);
  path_.clear();
  return sync_folder(target.parent_path());
}

Result<FileLock> FileLock::take(const fs::path& path, const std::string& whom) {
  bool told = false;
  for (;;) {
    FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
    if (!fd.valid()) return system_error("cannot open", path, errno);
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK && !std::exchange(told, true)) log::info("waiting for " + whom);
      while (::flock(fd.get(), LOCK_EX) != 0) {
        if (errno != EINTR) return system_error("cannot lock", path, errno);
      }
    }
    // Who had it may have taken the file away: then this lock is on nothing that others would see.
    struct stat locked{};
    struct stat there{};
    if (::fstat(fd.get(), &locked) == 0 && ::stat(path.c_str(), &there) == 0 && locked.st_ino == there.st_ino &&
        locked.st_dev == there.st_dev) {
      return FileLock(path, std::move(fd));
    }
  }
}

std::optional<FileLock> FileLock::try_take(const fs::path& path) {
  FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid() || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) return std::nullopt;
  return FileLock(path, std::move(fd));
}

FileLock::~FileLock() {
  if (fd_.valid()) ::unlink(path_.c_str());
}

}  // namespace spillway::fleet
