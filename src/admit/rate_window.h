// No more than so many in any window of time.
#pragma once

#include <cstdint>
#include <deque>

#include "base/time.h"

namespace spillway::admit {

// The exact sliding window: the time of each of the last `most` is kept (8 bytes), so that no window of a provider's,
// wherever it begins, holds more. Pure.
class RateWindow {
 public:
  // `most` 0: no limit.
  void set(std::uint32_t most, Duration window);
  [[nodiscard]] bool limited() const { return most_ > 0; }

  // When the next may go, with `before` others before it; in the past: now.
  [[nodiscard]] TimePoint when(TimePoint at, std::size_t before = 0) const;
  void take(TimePoint at);

 private:
  std::uint32_t most_ = 0;
  Duration window_{};
  std::deque<TimePoint> taken_;  // of the last `most_`, the oldest first
};

}  // namespace spillway::admit
