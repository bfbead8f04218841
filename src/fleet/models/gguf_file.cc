// read_gguf: the parser of gguf.cc over a file, in growing pieces of its beginning.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "fleet/models/gguf.h"

namespace spillway::fleet {

namespace {

constexpr std::uint64_t kFirstPiece = 1u << 20;
// Headers are mostly the vocabulary: 262,144 tokens take about 12 MiB.
constexpr std::uint64_t kMaxHeader = 256u << 20;

Error about(const std::filesystem::path& path, const Error& error) {
  return Error{error.code, path.string() + ": " + error.message, error.hint};
}

}  // namespace

Result<GgufInfo> read_gguf(const std::filesystem::path& path) {
  Result<GgufDetails> details = read_gguf_details(path);
  if (!details) return details.error();
  return std::move(details->info);
}

Result<GgufDetails> read_gguf_details(const std::filesystem::path& path) {
  // Not to be held up by a FIFO that somebody names.
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return system_error("cannot read", path, errno);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return system_error("cannot read", path, errno);
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, path.string() + " is not a regular file", "name a GGUF file"};
  }
  const auto file_size = static_cast<std::uint64_t>(status.st_size);

  std::string head;
  for (std::uint64_t want = kFirstPiece;; want *= 2) {
    std::size_t have = head.size();
    head.resize(std::min(want, file_size));
    while (have < head.size()) {
      const ssize_t got = ::pread(fd.get(), head.data() + have, head.size() - have, static_cast<off_t>(have));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return system_error("cannot read", path, errno);
      if (got == 0) return Error{ErrorCode::kCorrupt, path.string() + " shrank while it was read", "fetch it again"};
      have += static_cast<std::size_t>(got);
    }
    Result<std::optional<GgufDetails>> parsed = parse_gguf_details(head, file_size);
    if (!parsed) return about(path, parsed.error());
    if (*parsed) return **std::move(parsed);
    if (head.size() >= kMaxHeader) {
      return Error{ErrorCode::kCorrupt,
                   path.string() + ": broken GGUF: its header is larger than " + std::to_string(kMaxHeader) + " bytes",
                   "fetch it again"};
    }
  }
}

}  // namespace spillway::fleet
