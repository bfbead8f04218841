// How far a download is: one line on a terminal, redrawn in place; nothing elsewhere.
#pragma once

#include <deque>
#include <string>
#include <string_view>

#include "base/time.h"
#include "fleet/pull/download.h"

namespace spillway::cli {

class ProgressBar {
 public:
  explicit ProgressBar(std::string label);
  ~ProgressBar();  // leaves an empty line
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void show(const fleet::DownloadProgress& progress, TimePoint when);

 private:
  struct Sample {
    TimePoint when;
    std::uint64_t done;
  };
  std::string label_;
  bool on_terminal_;
  std::deque<Sample> samples_;  // of the last seconds: the rate
};

// The line for `columns`: "model  [####------]  41 %  98.4 MB  12.3 MB/s  0:05". `rate` in bytes a second; 0: not known
// yet.
std::string progress_line(std::string_view label, const fleet::DownloadProgress& progress, double rate,
                          std::size_t columns);

}  // namespace spillway::cli
