// What an Exchange does next: pure, so that it is tested on a clock of the test's own.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "attempt/outcome.h"
#include "base/time.h"

namespace spillway::attempt {

// A Target of the Route as it is now.
struct TargetState {
  bool loading = false;              // a local engine that is not ready yet
  bool asked = false;                // by this Exchange
  std::optional<TimePoint> again{};  // it is asked once more, at that time, before any other
  bool spared = false;               // by its Breaker: others first
  bool full = false;                 // a request has to wait for room there
  TimePoint not_before{};            // its Backend has asked for that (Retry-After)
};

struct Move {
  enum class Kind {
    kAsk,       // this Target
    kFail,      // all have failed
    kDeadline,  // there is no time for another
  };
  Kind kind = Kind::kFail;
  std::size_t target = 0;
  TimePoint at{};  // not before; in the past: now
};

// One that is to be asked again; else in their order, but one that is full after those that have room, a local engine
// that still loads after these, then one that is spared, and a Backend that asked for a longer rest than `most_wait`
// after all others. A shorter rest is waited for.
Move next_move(std::span<const TargetState> targets, milliseconds most_wait, Deadline deadline, TimePoint at);

// How long to wait before the same Target is asked again after `outcome`; nothing: it is the next one's turn.
// `tries`: so far at this Target. `random`: from 0 to 1, for full jitter: U(0, min(kLongestBackoff, kBackoff · 2ⁿ))
// (AWS architecture blog, "Exponential Backoff And Jitter").
struct RetryLimits {
  int retries = 0;            // of the Route
  milliseconds most_wait{0};  // for a Retry-After; 0: never waited for
};
std::optional<milliseconds> pause_before_retry(const Outcome& outcome, int tries, const RetryLimits& limits,
                                               double random);

inline constexpr milliseconds kBackoff{100};
inline constexpr milliseconds kLongestBackoff{2'000};
inline constexpr int kMostWaits = 3;  // for the Retry-After of one Target

}  // namespace spillway::attempt
