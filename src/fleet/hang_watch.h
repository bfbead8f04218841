// Is an engine that once was ready still at work, or does it hang?
//
// Pure: no clock, no I/O. It hangs when
//   - it has not said that it is well for as long as `timeout`, though it was asked kLeastAsks times at least; or
//   - it was given requests, used next to no processor time for as long as `timeout` since, and then does not answer
//   one
//     short completion either (a client that reads slowly lets an engine idle, too).
// Engines on GPUs keep a processor busy while they wait for one, so that this holds for them as well.
#pragma once

#include <string>

#include "base/time.h"

namespace spillway::fleet {

class HangWatch {
 public:
  static constexpr int kLeastAsks = 3;
  static constexpr double kIdleShare = 0.01;  // of one processor: what answering health checks takes at most

  enum class Step {
    kNone,
    kAskCompletion,  // answered by completion(); not asked again before that
    kHung,           // see why()
  };
  struct Look {
    Duration processor_time{};  // that it has used so far
    bool asked = false;         // it has requests, or got some since the last look
  };

  // `timeout` 0: it is never told to hang.
  explicit HangWatch(Duration timeout) : timeout_(timeout) {}

  // It is ready now: whatever was before counts no more.
  void begin(TimePoint now, Duration processor_time);
  Step look(const Look& look, TimePoint now);
  Step health(bool well, TimePoint now);
  Step completion(bool answered, TimePoint now);
  [[nodiscard]] const std::string& why() const { return why_; }

 private:
  Duration timeout_;
  TimePoint well_at_{};
  int asks_ = 0;  // for its health, since well_at_
  TimePoint worked_at_{};
  Duration worked_{};                         // its processor time then
  TimePoint asked_since_ = TimePoint::max();  // since it worked last
  bool asking_ = false;                       // for a completion
  std::string why_;
};

}  // namespace spillway::fleet
