// What an Exchange does next: pure, so that it is tested on a clock of the test's own.
#pragma once

#include <cstddef>
#include <span>

#include "attempt/outcome.h"
#include "base/time.h"

namespace spillway::attempt {

// A Target of the Route as it is now.
struct TargetState {
  bool loading = false;  // a local engine that is not ready yet
  bool asked = false;    // by this Exchange
};

struct Move {
  enum class Kind {
    kAsk,       // this Target
    kFail,      // all have failed
    kDeadline,  // there is no time for another
  };
  Kind kind = Kind::kFail;
  std::size_t target = 0;
};

// In their order; but a local engine that still loads is asked after those that can answer now.
Move next_move(std::span<const TargetState> targets, Deadline deadline, TimePoint at);

}  // namespace spillway::attempt
