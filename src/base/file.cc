#include "base/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

namespace spillway {

namespace {

constexpr std::string_view kTemporary = ".tmp";  // and the writer's pid: what is being written

Status write_all(int fd, std::string_view content, const std::filesystem::path& path) {
  while (!content.empty()) {
    const ssize_t written = ::write(fd, content.data(), content.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return system_error("cannot write", path, errno);
    }
    content.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

FileState state_of(const struct stat& found) {
  return {found.st_dev, found.st_ino, found.st_size, found.st_mtim.tv_sec * 1'000'000'000LL + found.st_mtim.tv_nsec};
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Error system_error(std::string_view what, const std::filesystem::path& path, int error_number) {
  Error error;
  error.message = std::string(what) + " " + path.string() + ": " + std::strerror(error_number);
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      error.code = ErrorCode::kNotFound;
      error.hint = "check the path";
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      error.code = ErrorCode::kPermissionDenied;
      error.hint = "give this user the right to it, or name another path";
      break;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      error.code = ErrorCode::kResourceExhausted;
      error.hint = "free some space there, or name another folder with --data";
      break;
    case EMFILE:
    case ENFILE:
      error.code = ErrorCode::kResourceExhausted;
      error.hint = "raise the limit of open files (ulimit -n)";
      break;
    default: error.code = ErrorCode::kUnavailable;
  }
  return error;
}

FileState file_state(const std::filesystem::path& path) {
  struct stat found{};
  return ::stat(path.c_str(), &found) == 0 ? state_of(found) : FileState{};
}

Result<std::string> read_file(const std::filesystem::path& path, std::uint64_t limit, FileState* state) {
  if (state != nullptr) *state = {};
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("cannot read", path, errno);
  struct stat found{};
  if (state != nullptr && ::fstat(fd.get(), &found) == 0) *state = state_of(found);
  std::string content;
  char block[16384];
  for (;;) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0) {
      if (errno == EINTR) continue;
      return system_error("cannot read", path, errno);
    }
    if (got == 0) return content;
    content.append(block, static_cast<std::size_t>(got));
    if (content.size() > limit) {
      return Error{ErrorCode::kResourceExhausted, path.string() + " is larger than " + std::to_string(limit) + " bytes",
                   "is it the right file?"};
    }
  }
}

Status write_file_atomically(const std::filesystem::path& path, std::string_view content) {
  const std::filesystem::path temporary = path.string() + std::string(kTemporary) + std::to_string(::getpid());
  {
    const FileDescriptor fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    if (!fd.valid()) return system_error("cannot create", temporary, errno);
    Status written = write_all(fd.get(), content, temporary);
    if (written && ::fsync(fd.get()) != 0) written = system_error("cannot write", temporary, errno);
    if (!written) {
      ::unlink(temporary.c_str());
      return written;
    }
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error_number = errno;
    ::unlink(temporary.c_str());
    return system_error("cannot replace", path, error_number);
  }
  return {};
}

void remove_with_leftovers(const std::filesystem::path& path) {
  std::error_code ec;
  std::filesystem::remove(path, ec);
  const std::string leftover = path.filename().string() + std::string(kTemporary);
  std::vector<std::filesystem::path> found;
  for (std::filesystem::directory_iterator it(path.parent_path(), ec), end; !ec && it != end; it.increment(ec)) {
    if (it->path().filename().string().starts_with(leftover)) found.push_back(it->path());
  }
  for (const std::filesystem::path& file : found) std::filesystem::remove(file, ec);
}

Status make_writable_directory(const std::filesystem::path& path) {
  std::error_code ec;
  std::filesystem::create_directories(path, ec);
  if (ec) return system_error("cannot create folder", path, ec.value());
  if (::access(path.c_str(), W_OK | X_OK) != 0) return system_error("cannot write to folder", path, errno);
  return {};
}

}  // namespace spillway
