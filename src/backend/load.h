// How fast a Backend answers of late, and how much it has in hand.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>

#include "base/mutex.h"
#include "base/time.h"

namespace spillway::backend {

// For one Backend and model, shared by all threads. Pure but for its lock: all times are handed in.
class Load {
 public:
  // Half of what is known of its time is forgotten in so long a silence, so that one that was slow is asked again
  // (Finagle, PeakEwma).
  static constexpr seconds kHalfLife{15};
  static constexpr std::uint32_t kLeastTimed = 20;     // answers, before there is a quantile
  static constexpr std::uint32_t kGeneration = 1'000;  // answers; a quantile looks at the last one to two thousand

  // An Attempt is sent; its first token has come; it ends, before that (`silent`) or behind it.
  void begin(TimePoint at);
  void first_token_came();
  void end(bool silent);
  // Attempts under way.
  [[nodiscard]] int in_flight() const { return in_flight_.load(std::memory_order_relaxed); }

  // An answer's first token came after `first_token`; `whole`: all of the answer came at once, then.
  void note(Duration first_token, bool whole, TimePoint at);
  // When an answer came last.
  [[nodiscard]] TimePoint noted_at() const;
  // The mean time to the first token of late, in ms, of streams where there were any; less and less while nobody asks,
  // since it may have become faster, and one request is enough to find out; 0: not known. Where many wait, what
  // Little's law says of them (their number by the rate of their coming), when that is much more: before the first late
  // answer tells, many would have gone there.
  [[nodiscard]] double expected_ms(TimePoint at) const;
  // The time to the first token (`whole`: to a whole answer) that the share `q` (0 to 1) of answers keep. Rounded up by
  // a tenth at most. Nothing: too few answers so far.
  [[nodiscard]] std::optional<milliseconds> quantile(double q, bool whole) const;

 private:
  static constexpr std::size_t kBuckets = 128;  // each a tenth wider than the one before: 1 ms to 3 min
  class Histogram {
   public:
    void add(double ms);
    [[nodiscard]] std::optional<milliseconds> quantile(double q) const;

   private:
    std::array<std::uint32_t, kBuckets> now_{};
    std::array<std::uint32_t, kBuckets> before_{};
    std::uint32_t count_ = 0;  // in now_
    std::uint32_t count_before_ = 0;
  };

  static constexpr int kManyWait = 16;
  static constexpr double kMuchMore = 1.5;

  std::atomic<int> in_flight_{0};
  mutable Mutex mutex_;                                          // guards what follows
  int pending_ SPILLWAY_GUARDED_BY(mutex_) = 0;                  // Attempts without a first token
  double gap_ms_ SPILLWAY_GUARDED_BY(mutex_) = 0;                // between two of them, on the average
  TimePoint began_at_ SPILLWAY_GUARDED_BY(mutex_){};             // the last one
  std::array<double, 2> mean_ms_ SPILLWAY_GUARDED_BY(mutex_){};  // of streams, of whole answers
  TimePoint noted_at_ SPILLWAY_GUARDED_BY(mutex_){};
  std::array<Histogram, 2> times_ SPILLWAY_GUARDED_BY(mutex_);  // of streams, of whole answers
};

}  // namespace spillway::backend
