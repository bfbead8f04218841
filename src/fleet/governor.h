// Holds how busy an engine is at a set point, by how many requests of which priority are let in.
//
// Pure: no clock, no I/O. A bank of time is kept: it fills with `set_point` seconds a second and is emptied by the
// seconds that the engine is busy, between -kDebt and kBank. The fuller it is, the more requests are let in beside each
// other: all slots where it is full, none of priority normal where it is empty, of high somewhat later, of batch much
// sooner. Critical ones are not bounded, but what they use is missing for the others.
//
// Why it is stable: letting fewer in when the bank is lower makes the engine less busy, and the bank fills; there is
// nothing to overshoot but what was let in already. As the bank is the sum of what use differs from the set point, over
// any time T the mean use is the set point, but for at most (kBank + kDebt) / T where there are enough requests; while
// it stays at its balance, only for what the requests of one moment still need, divided by T.
#pragma once

#include <array>

#include "admit/priority.h"
#include "base/time.h"

namespace spillway::fleet {

class Governor {
 public:
  static constexpr double kBank = 1.5;  // seconds: what a pause lets run at once
  static constexpr double kDebt = 3.0;  // seconds: what critical requests alone may cost the others later
  static constexpr double kMeanOver = 60.0;

  void set(double set_point, int slots) {
    set_point_ = set_point;
    slots_ = slots;
  }

  // The engine was busy with `use` (0 to 1) of what it may use, over the last `time`.
  void note(double use, Duration time);

  // Requests inside at once, by priority: one of it is let in while fewer are.
  using Caps = std::array<int, admit::kPriorities>;
  [[nodiscard]] Caps caps() const;

  [[nodiscard]] double mean() const { return mean_; }  // use, over the last minute or so
  [[nodiscard]] double bank() const { return bank_; }  // seconds

 private:
  double set_point_ = 0.75;
  int slots_ = 1;
  double bank_ = kBank;
  double mean_ = 0;
  double known_ = 0;  // seconds that the mean is over
};

}  // namespace spillway::fleet
