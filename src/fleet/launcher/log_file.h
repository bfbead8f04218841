// The file that an engine writes its output to, kept from growing without bound.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace spillway::fleet {

class LogFile {
 public:
  static constexpr std::uint64_t kMaxBytes = 16u << 20;

  explicit LogFile(std::filesystem::path path, std::uint64_t max_bytes = kMaxBytes)
      : path_(std::move(path)), max_bytes_(max_bytes) {}

  // Remembers where the file ends now: tail() tells what comes after.
  void mark();

  // When the file is larger than the limit, keeps its content as "PATH.1" and empties it. The writer
  // may go on meanwhile, since it appends; what it writes during the copy may be lost.
  void rotate_if_large();

  // The last `limit` bytes since mark(), from the beginning of a line; empty when there is nothing.
  [[nodiscard]] std::string tail(std::uint64_t limit) const;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
  std::uint64_t max_bytes_;
  std::uint64_t mark_ = 0;
};

}  // namespace spillway::fleet
