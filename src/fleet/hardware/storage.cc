#include "fleet/hardware/storage.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "base/file.h"
#include "base/ids.h"
#include "base/text.h"
#include "base/time.h"
#include "fleet/hardware/tool.h"

namespace spillway::fleet {

namespace fs = std::filesystem;

namespace {

constexpr milliseconds kMeasure{250};  // each way
constexpr std::uint64_t kDiskBlock = 4u << 20;
constexpr std::uint64_t kMostWritten = 256u << 20;
constexpr std::uint64_t kLeastFree = 4ull << 30;  // below it nothing is written just to measure
constexpr milliseconds kSmartctl{700};

// "[2/1]" behind the number of blocks: wanted and working members.
void read_members(std::string_view line, Raid& raid) {
  for (const std::string_view word : words_of(line)) {
    const std::size_t slash = word.find('/');
    if (!word.starts_with('[') || !word.ends_with(']') || slash == std::string_view::npos) continue;
    const auto wanted = leading_number(word.substr(1));
    const auto working = leading_number(word.substr(slash + 1));
    if (!wanted || !working) continue;
    raid.wanted = static_cast<int>(std::min<std::uint64_t>(*wanted, 10'000));
    raid.working = static_cast<int>(std::min<std::uint64_t>(*working, 10'000));
    return;
  }
}

// The device below a mounted one: "sda" of "sda1", "nvme0n1" of "nvme0n1p2".
std::string drive_of(const Root& root, const std::string& device) {
  for (const std::string& block : root.names("/sys/block")) {
    if (device == block || (device.starts_with(block) && !root.names("/sys/block/" + block + "/" + device).empty()))
      return block;
  }
  return device;
}

double rate_of(std::uint64_t bytes, Duration took) {
  return static_cast<double>(bytes) / 1e6 / std::max(std::chrono::duration<double>(took).count(), 1e-6);
}

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};

}  // namespace

std::vector<Raid> parse_mdstat(std::string_view text) {
  std::vector<Raid> out;
  for (const std::string_view line : lines_of(text)) {
    const std::vector<std::string_view> words = words_of(line);
    // "md0 : active raid10 sdd1[3] sdc1[2](F) sdb1[1] sda1[0]"
    if (words.size() >= 3 && words[1] == ":" && (words[2] == "active" || words[2] == "inactive")) {
      Raid raid;
      raid.device = words[0];
      raid.active = words[2] == "active";
      for (std::size_t i = 3; i < words.size(); ++i) {
        if (words[i].starts_with('(')) continue;  // "(read-only)"
        if (raid.level.empty() && words[i].find('[') == std::string_view::npos) {
          raid.level = words[i];
        } else {
          const std::string_view failed = words[i].find("(F)") != std::string_view::npos ? "(F)" : "";
          raid.members.push_back(std::string(words[i].substr(0, words[i].find('['))) + std::string(failed));
        }
      }
      out.push_back(std::move(raid));
    } else if (!out.empty() && line.find(" blocks") != std::string_view::npos) {
      read_members(line, out.back());
    } else if (!out.empty() &&
               (line.find("recovery =") != std::string_view::npos || line.find("resync =") != std::string_view::npos ||
                line.find("reshape =") != std::string_view::npos)) {
      const std::size_t begin = line.find('r', line.find(']'));
      const std::size_t percent = line.find('%');
      if (begin != std::string_view::npos && percent != std::string_view::npos && percent > begin) {
        out.back().rebuild = line.substr(begin, percent - begin + 1);
      }
    }
  }
  return out;
}

Disk read_disk(const Root& root, const fs::path& folder) {
  Disk out;
  std::error_code ec;
  fs::path there = fs::absolute(folder, ec);
  while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
  out.folder = there.string();
  struct statvfs status{};
  if (::statvfs(there.c_str(), &status) == 0) {
    out.size = std::uint64_t{status.f_blocks} * status.f_frsize;
    out.free = std::uint64_t{status.f_bavail} * status.f_frsize;
  }
  const Result<std::string> mounts = root.text("/proc/self/mountinfo");
  if (!mounts) return out;
  // The longest mount point that the folder is below: proc(5), fields 5 and, behind " - ", 2.
  std::size_t longest = 0;
  for (const std::string_view line : lines_of(*mounts)) {
    const std::vector<std::string_view> words = words_of(line);
    const auto dash = std::ranges::find(words, std::string_view("-"));
    if (words.size() < 5 || words.end() - dash < 3) continue;
    const std::string_view point = words[4];
    const bool below = point == "/" || (out.folder.starts_with(point) &&
                                        (out.folder.size() == point.size() || out.folder[point.size()] == '/'));
    if (!below || point.size() < longest) continue;
    longest = point.size();
    out.device = dash[2].starts_with("/dev/") ? std::string(dash[2]) : std::string();
  }
  if (!out.device.empty()) {
    out.rotational =
        root.number("/sys/block/" + drive_of(root, out.device.substr(5)) + "/queue/rotational").value_or(0) == 1;
  }
  return out;
}

std::vector<DriveHealth> read_drives(const Root& root, std::vector<Unread>& unread) {
  std::vector<DriveHealth> out;
  std::vector<std::string> drives;
  for (const std::string& name : root.names("/sys/block")) {
    if (name.starts_with("sd") || name.starts_with("nvme")) drives.push_back(name);
  }
  if (drives.empty()) return out;
  if (!root.live()) return out;
  const std::string smartctl = find_program("smartctl");
  if (smartctl.empty()) {
    unread.push_back({"health of drives (SMART)", "smartctl is not installed (package smartmontools)"});
    return out;
  }
  for (const std::string& drive : drives) {
    const Result<std::string> text = run_tool(smartctl, {"-H", "/dev/" + drive}, kSmartctl);
    if (!text || text->find("Permission denied") != std::string::npos) {
      unread.push_back({"health of /dev/" + drive + " (SMART)", text ? "only root may ask it" : text.error().message});
    } else if (text->find("PASSED") != std::string::npos || text->find("OK") != std::string::npos) {
      out.push_back({"/dev/" + drive, true, "passed"});
    } else if (text->find("FAILED") != std::string::npos) {
      out.push_back({"/dev/" + drive, false, "SMART overall health: failed"});
    }
  }
  return out;
}

void measure_disk(Disk& disk, std::vector<Unread>& unread) {
  const auto cannot = [&](const std::string& why) { unread.push_back({"speed of the disk at " + disk.folder, why}); };
  if (disk.free < kLeastFree) return cannot("too little is free to write a test file");
  const fs::path path = fs::path(disk.folder) / (".spillway-doctor-" + std::to_string(random_u64()));
  const FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd.valid()) return cannot(std::strerror(errno));
  ::unlink(path.c_str());
  void* memory = nullptr;
  if (::posix_memalign(&memory, 4096, kDiskBlock) != 0) return cannot("out of memory");
  const std::unique_ptr<void, Free> block(memory);
  auto* words = static_cast<std::uint64_t*>(memory);
  for (std::size_t i = 0; i < kDiskBlock / sizeof *words; ++i) words[i] = i * 0x9e3779b97f4a7c15u;
  std::uint64_t written = 0;
  const TimePoint begin = now();
  while (now() - begin < kMeasure && written < kMostWritten) {
    const ssize_t got = ::pwrite(fd.get(), memory, kDiskBlock, static_cast<off_t>(written));
    if (got <= 0) return cannot(std::strerror(errno));
    written += static_cast<std::uint64_t>(got);
    // Each block by itself: to let them gather would take seconds to write at the end.
    if (::fdatasync(fd.get()) != 0) return cannot(std::strerror(errno));
  }
  disk.write_rate = rate_of(written, now() - begin);
  const int flags = ::fcntl(fd.get(), F_GETFL);
  if (::fcntl(fd.get(), F_SETFL, flags | O_DIRECT) != 0) return cannot("its file system cannot be read past the cache");
  std::uint64_t read = 0;
  const TimePoint reading = now();
  while (now() - reading < kMeasure && read < written) {
    const ssize_t got = ::pread(fd.get(), memory, kDiskBlock, static_cast<off_t>(read));
    if (got <= 0) return cannot(got < 0 ? std::strerror(errno) : "the file ended");
    read += static_cast<std::uint64_t>(got);
  }
  disk.read_rate = rate_of(read, now() - reading);
}

}  // namespace spillway::fleet
