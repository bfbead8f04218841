#include "admit/rate_window.h"

namespace spillway::admit {

void RateWindow::set(std::uint32_t most, Duration window) {
  most_ = most;
  window_ = window;
  while (taken_.size() > most_) taken_.pop_front();
}

TimePoint RateWindow::when(TimePoint at, std::size_t before) const {
  if (most_ == 0) return at;
  // Those before it fill the window from its end: whoever is `most_` places ahead has to have left it.
  const std::size_t windows = before / most_;
  const std::size_t rest = before % most_;
  const std::size_t used = taken_.size() + rest;
  TimePoint free = at;
  if (used >= most_) free = taken_[used - most_] + window_;
  return std::max(free, at) + static_cast<std::int64_t>(windows) * window_;
}

void RateWindow::take(TimePoint at) {
  if (most_ == 0) return;
  if (taken_.size() == most_) taken_.pop_front();
  taken_.push_back(at);
}

}  // namespace spillway::admit
