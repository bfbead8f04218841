// Whether a Backend is given its traffic, or others are.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "base/time.h"
#include "config/config.h"

namespace spillway::backend {

// For one Backend and model, shared by all threads. Traffic moves away before retries have to mend its failures: when
// the share of them in a window is too large, when several follow each other, or the time to the first token is a
// multiple of what it was in calm times. Then the Backend gets a small share of the requests, as probes; each three in
// a row that are answered, and not slowly, double it, each failure quarters it: so it comes back within half a minute
// when it is mended, and stays away while it answers four calls of five. Client faults never count. Pure but for its
// lock: all times are handed in.
class Breaker {
 public:
  using Settings = config::Breaker;
  static constexpr int kSteps = 10;   // of a window
  static constexpr int kWindows = 6;  // are looked back over, until there are kEnough Attempts
  static constexpr std::uint32_t kEnough = 50;
  static constexpr int kGoodProbes = 3;  // in a row double its share
  // Answers, and time, whose mean tells what is calm: fewer are chance, and those that come first are the fast ones.
  static constexpr int kLeastTimed = 20;
  static constexpr seconds kLeastTime{2};
  static constexpr milliseconds kSlowBy{100};  // at least, over the calm time

  void set(const Settings& settings);

  // What failed is gone: another engine runs in its place. What is known of its times stays.
  void begin_anew();

  // Whether the next request may go to it. False: others first.
  bool admit(TimePoint at);
  // Of its requests; 1: all of them.
  [[nodiscard]] double share() const { return share_.load(std::memory_order_relaxed); }

  struct Change {
    enum class Kind { kNone, kFails, kSlow, kBack };
    Kind kind = Kind::kNone;
    std::uint32_t failures = 0;  // kFails: in the window
    std::uint32_t attempts = 0;
    milliseconds first_token{0};  // kSlow: of late
    milliseconds calm{0};         // and before
  };
  // The first token came after `first_token`. That the answer broke later is a failure of its own.
  Change answered(Duration first_token, TimePoint at);
  Change failed(TimePoint at);
  // Another one was faster, after it was waited for so long: that long its first token takes at least.
  Change outrun(Duration waited, TimePoint at);

  // The mean time to the first token of late; 0: not known.
  [[nodiscard]] milliseconds first_token() const;

 private:
  struct Bucket {
    std::int64_t step = -1;  // of the clock
    std::uint32_t attempts = 0;
    std::uint32_t failures = 0;
  };
  Bucket& bucket(TimePoint at) SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] Bucket recent(TimePoint at) const SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] std::int64_t step_of(TimePoint at) const SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] bool is_slow(double first_token_ms) const SPILLWAY_REQUIRES(mutex_);
  void leave(TimePoint at) SPILLWAY_REQUIRES(mutex_);
  void fall(TimePoint at) SPILLWAY_REQUIRES(mutex_);
  bool rise(TimePoint at) SPILLWAY_REQUIRES(mutex_);
  void learn(double first_token_ms, TimePoint at) SPILLWAY_REQUIRES(mutex_);

  mutable Mutex mutex_;
  std::atomic<double> share_{1};
  Settings settings_ SPILLWAY_GUARDED_BY(mutex_);
  std::array<Bucket, kSteps * kWindows> buckets_ SPILLWAY_GUARDED_BY(mutex_);
  double recent_ms_ SPILLWAY_GUARDED_BY(mutex_) = 0;  // time to the first token: an average of the last twenty or so
  double calm_ms_ SPILLWAY_GUARDED_BY(mutex_) =
      0;  // the least mean of kLeastTimed, forgotten by one hundredth a minute; 0: not known yet
  double logs_ SPILLWAY_GUARDED_BY(mutex_) = 0;  // of the times since timed_from_, their sum
  int timed_ SPILLWAY_GUARDED_BY(mutex_) = 0;    // and their number
  TimePoint timed_from_ SPILLWAY_GUARDED_BY(mutex_){};
  TimePoint learned_at_ SPILLWAY_GUARDED_BY(mutex_){};
  int in_a_row_ SPILLWAY_GUARDED_BY(mutex_) = 0;  // failures
  int good_ SPILLWAY_GUARDED_BY(mutex_) = 0;      // probes in a row
  TimePoint risen_at_ SPILLWAY_GUARDED_BY(mutex_){};
  double spared_ SPILLWAY_GUARDED_BY(mutex_) = 0;       // requests since the last one that it got
  TimePoint next_probe_ SPILLWAY_GUARDED_BY(mutex_){};  // whatever its share
};

}  // namespace spillway::backend
