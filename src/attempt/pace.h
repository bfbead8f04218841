// A floor for the pace of a stream.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "base/time.h"

namespace spillway::attempt {

// Fewer tokens than `floor` times the window within any window: the upstream is too slow. Time in which nobody waits
// for it (the client is slow) does not count. Pure: all times are handed in.
class Pace {
 public:
  static constexpr seconds kWindow{5};
  static constexpr double kGreatestFloor = 1'000;  // a higher one is taken for this

  // `floor`: tokens per second; 0: none, and nothing is ever too slow.
  explicit Pace(double floor, milliseconds window = kWindow) {
    if (floor <= 0) return;
    const double per_ms = std::min(floor, kGreatestFloor) / 1e3;
    window_ = std::max(window, milliseconds(static_cast<std::int64_t>(std::ceil(1 / per_ms))));  // at least one token
    last_.resize(std::max<std::size_t>(1, static_cast<std::size_t>(per_ms * static_cast<double>(window_.count()))));
  }

  [[nodiscard]] bool watched() const { return !last_.empty(); }

  // The first token came: from now on it counts.
  void begin(TimePoint at) { std::fill(last_.begin(), last_.end(), at); }
  void token(TimePoint at) {
    last_[next_] = at;
    next_ = (next_ + 1) % last_.size();
  }
  // Nobody waited for so long.
  void pause(Duration lasted) {
    for (TimePoint& at : last_) at += lasted;
  }
  // Without a further token it is too slow from then on.
  [[nodiscard]] TimePoint too_slow_at() const { return watched() ? last_[next_] + window_ : TimePoint::max(); }

 private:
  milliseconds window_{0};
  std::vector<TimePoint> last_;  // when the last tokens came, as a ring: as many as one window has to have
  std::size_t next_ = 0;         // the oldest
};

}  // namespace spillway::attempt
