#include "fleet/hardware/root.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>

#include "base/file.h"
#include "base/text.h"

namespace spillway::fleet {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxText = 4u << 20;

}  // namespace

fs::path Root::at(std::string_view path) const {
  while (path.starts_with('/')) path.remove_prefix(1);
  return folder_ / path;
}

Result<std::string> Root::text(std::string_view path) const {
  const fs::path file = at(path);
  // Not to be held up by a device: what is not there now is not waited for.
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd.valid()) return system_error("cannot read", file, errno);
  std::string out;
  char block[16384];
  while (out.size() < kMaxText) {
    const ssize_t got = ::read(fd.get(), block, sizeof block);
    if (got < 0 && (errno == EINTR || errno == EPIPE)) continue;
    if (got < 0 && out.empty() && errno != EAGAIN) return system_error("cannot read", file, errno);
    if (got <= 0) break;
    out.append(block, static_cast<std::size_t>(got));
    // The kernel's log gives one record a read.
    if (!out.ends_with('\n') && path.ends_with("kmsg")) out += '\n';
  }
  return out;
}

std::string Root::line(std::string_view path) const {
  const Result<std::string> all = text(path);
  if (!all) return {};
  return std::string(trim(std::string_view(*all).substr(0, all->find('\n'))));
}

std::optional<std::uint64_t> Root::number(std::string_view path) const { return leading_number(line(path)); }

std::vector<std::string> Root::names(std::string_view path) const {
  std::vector<std::string> out;
  std::error_code ec;
  for (fs::directory_iterator it(at(path), ec), end; !ec && it != end; it.increment(ec)) {
    out.push_back(it->path().filename().string());
  }
  std::ranges::sort(out);
  return out;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (const std::string_view line = trim(text.substr(0, end)); !line.empty()) out.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> out;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return out;
    const std::size_t end = std::min(line.find_first_of(" \t", begin), line.size());
    out.push_back(line.substr(begin, end - begin));
    line.remove_prefix(end);
  }
}

std::optional<std::uint64_t> leading_number(std::string_view text) {
  const std::string digits(text.substr(0, text.find_first_not_of("0123456789")));
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.c_str(), digits.c_str() + digits.size(), value);
  if (digits.empty() || error != std::errc() || *end != '\0') return std::nullopt;
  return value;
}

}  // namespace spillway::fleet
