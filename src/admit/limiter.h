// How many Attempts a Backend is given at once.
#pragma once

#include <cstdint>

#include "base/time.h"

namespace spillway::admit {

// Adaptive concurrency that is stable where limits are small, as those of local engines are (1 to 10): down by one, or
// a tenth, and up only when somebody waited. It is driven by the time to the first token, never by that of whole
// answers, which depends on their length (docs: after Gradient2 of Netflix's concurrency-limits, whose constant growth
// makes small limits swing). Pure.
class Limiter {
 public:
  struct Settings {
    int fixed = 0;                // above 0: that many, whatever happens
    int most = 10'000;            // else at most
    int begin = 10'000;           // at first; doubled as long as somebody waits and nothing becomes slower
    bool by_first_token = false;  // its time grows with what we give it: the machine is ours alone
    bool operator==(const Settings&) const = default;
  };
  static constexpr double kTolerated = 3;              // times the calm time to the first token
  static constexpr milliseconds kTolerance{50};        // more
  static constexpr int kLeastSample = 8;               // answers, in a window
  static constexpr seconds kGrowEvery{1};              // at most
  static constexpr double kForgottenPerMinute = 0.02;  // of the calm time

  void set(const Settings& settings);
  [[nodiscard]] int limit() const { return limit_; }

  // The first token came after `first_token`, from when it was sent. `in_flight`: now, it among them.
  void answered(Duration first_token, int in_flight, TimePoint at);
  // It said that it has too much in hand (429 without a time).
  void refused(int in_flight, TimePoint at);
  // Somebody has to wait.
  void waited() { waited_ = true; }

 private:
  void shrink(int in_flight, TimePoint at);
  void grow(TimePoint at);

  Settings settings_;
  int limit_ = 10'000;
  bool waited_ = false;
  bool found_ = false;  // the limit was too high once
  int stale_ = 0;       // answers to come that were begun under another limit
  double calm_ms_ = 0;
  double sum_ms_ = 0;  // of the window
  int count_ = 0;
  TimePoint learned_at_{};
  TimePoint changed_at_{};
};

}  // namespace spillway::admit
