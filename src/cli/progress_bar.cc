#include "cli/progress_bar.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <utility>

#include "cli/output.h"

namespace spillway::cli {

namespace {

constexpr seconds kRateWindow{5};
constexpr std::size_t kUsualColumns = 80;
constexpr std::size_t kBar = 24;  // characters

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kUsualColumns;
  return size.ws_col;
}

std::string time_text(double left) {
  const auto all = static_cast<std::uint64_t>(std::llround(left));
  if (all >= 3600) return fmt::format("{}:{:02}:{:02}", all / 3600, all / 60 % 60, all % 60);
  return fmt::format("{}:{:02}", all / 60, all % 60);
}

}  // namespace

ProgressBar::ProgressBar(std::string label) : label_(std::move(label)), on_terminal_(::isatty(STDERR_FILENO) == 1) {}

ProgressBar::~ProgressBar() {
  if (on_terminal_ && !samples_.empty()) std::fputs("\r\x1b[K", stderr);
}

void ProgressBar::show(const fleet::DownloadProgress& progress, TimePoint when) {
  if (!on_terminal_) return;
  samples_.push_back({when, progress.done});
  while (when - samples_.front().when > kRateWindow) samples_.pop_front();
  const Sample& first = samples_.front();
  const double elapsed = std::chrono::duration<double>(when - first.when).count();
  const bool moving =
      progress.phase == fleet::DownloadProgress::Phase::kFetching && elapsed > 0.2 && progress.done > first.done;
  const double rate = moving ? static_cast<double>(progress.done - first.done) / elapsed : 0;
  const std::string line = "\r" + progress_line(label_, progress, rate, terminal_columns()) + "\x1b[K";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string progress_line(std::string_view label, const fleet::DownloadProgress& progress, double rate,
                          std::size_t columns) {
  const double share =
      progress.total == 0 ? 0 : static_cast<double>(progress.done) / static_cast<double>(progress.total);
  const auto filled = static_cast<std::size_t>(share * kBar);
  std::string right = fmt::format("  [{}{}] {:3.0f} %  {}", std::string(filled, '#'), std::string(kBar - filled, '-'),
                                  share * 100, size_text(progress.total));
  switch (progress.phase) {
    case fleet::DownloadProgress::Phase::kChecking: right += "  checking what is there"; break;
    case fleet::DownloadProgress::Phase::kVerifying: right += "  verifying"; break;
    case fleet::DownloadProgress::Phase::kFetching:
      if (rate > 0) {
        right += fmt::format("  {}/s  {}", size_text(static_cast<std::uint64_t>(rate)),
                             time_text(static_cast<double>(progress.total - progress.done) / rate));
      }
      break;
  }
  const std::size_t room = columns > right.size() + 1 ? columns - right.size() - 1 : 0;
  return std::string(label.substr(0, room)) + right;
}

}  // namespace spillway::cli
