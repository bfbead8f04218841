#include "fleet/launcher/log_file.h"

#include <algorithm>
#include <fstream>
#include <system_error>

#include "base/log.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

// 0 when there is none.
std::uint64_t size_of(const fs::path& path) {
  std::error_code ec;
  const std::uintmax_t size = fs::file_size(path, ec);
  return ec ? 0 : size;
}

}  // namespace

void LogFile::mark() { mark_ = size_of(path_); }

void LogFile::rotate_if_large() {
  if (size_of(path_) <= max_bytes_) return;
  std::error_code ec;
  const fs::path kept = path_.string() + ".1";
  fs::copy_file(path_, kept, fs::copy_options::overwrite_existing, ec);
  if (ec) log::warn("cannot keep " + path_.string() + " as " + kept.string() + ": " + ec.message());
  // Emptied all the same: a full disk is worse than a lost log.
  fs::resize_file(path_, 0, ec);
  if (ec) log::warn("cannot empty " + path_.string() + ": " + ec.message());
  mark_ = 0;
}

std::string LogFile::tail(std::uint64_t limit) const {
  const std::uint64_t size = size_of(path_);
  if (size <= mark_) return {};
  const std::uint64_t from = std::max(mark_, size - std::min(size, limit));
  std::ifstream file(path_, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(from));
  std::string text(size - from, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  if (from > mark_) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  return text;
}

}  // namespace spillway::fleet
