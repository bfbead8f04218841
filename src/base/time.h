// Time as the whole program speaks of it: one monotonic clock, one Deadline per Exchange.
#pragma once

#include <algorithm>
#include <chrono>

namespace spillway {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

inline TimePoint now() { return Clock::now(); }

// Milliseconds as a real number, for logs and metrics.
inline double to_ms(Duration duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

// The instant by which an Exchange has to end. A value: handed down, never restarted.
class Deadline {
 public:
  static Deadline after(Duration duration, TimePoint from) { return Deadline(from + duration); }
  static Deadline never() { return Deadline(TimePoint::max()); }

  [[nodiscard]] TimePoint at() const { return at_; }
  [[nodiscard]] bool passed(TimePoint when) const { return when >= at_; }

  // The earlier of this Deadline and `from + limit`: how long one step may take.
  [[nodiscard]] TimePoint capped(Duration limit, TimePoint from) const {
    if (limit >= at_ - from) return at_;
    return from + limit;
  }

 private:
  explicit Deadline(TimePoint at) : at_(at) {}
  TimePoint at_;
};

}  // namespace spillway
