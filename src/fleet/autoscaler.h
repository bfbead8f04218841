// How many of a Backend's standby Replicas run: one more when any of several voters has held for long enough, one less
// when all have been calm for long and the rest could carry the load with ease.
//
// Pure: no clock, no I/O. One for each Backend with `standby`; looked at about once a second. The rule asked for is the
// processor's, 85 % for 5 minutes; the others see what it cannot: GPU engines use little of a processor, and a queue
// grows in seconds. Up at once, down slowly; while one starts, no other is started for the same load.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "config/config.h"

namespace spillway::fleet {

struct ScaleSignals {
  int always = 1;                  // Replicas that run whatever comes
  int spare = 0;                   // the most that may run beside them
  int started = 0;                 // of these, that were started
  int starting = 0;                // of all, that are not ready yet
  bool room = true;                // memory for one more
  int slots = 0;                   // requests that one answers at once
  int inside = 0;                  // that all answer now
  double cpu = 0;                  // of the processors that they may use, 0 to 1, over those that are ready
  std::optional<double> gpu = {};  // of the machine's, 0 to 1
  int waiting = 0;                 // requests, for room there
  Duration wait{};                 // that a newcomer would have
  Duration first_token{};          // of a request that came now, with its wait for room; 0: not known
  std::string troubled = {};       // a provider beside it in a Route whose requests fail; empty: none
};

class Autoscaler {
 public:
  static constexpr double kEasy = 0.7;            // of a limit: what is left after one ends may come so close
  static constexpr milliseconds kTrouble{1'000};  // a provider's, before a standby is warmed for it

  struct Decision {
    int change = 0;      // +1, -1, 0
    std::string reason;  // of a change, for people
    std::string held;    // why what is wanted is not done; empty: nothing more is wanted
  };

  void set(const config::Autoscale& settings) { settings_ = settings; }
  Decision decide(const ScaleSignals& signals, TimePoint now);
  // Of the processors, as it is counted: a mean of late.
  [[nodiscard]] double cpu() const { return cpu_.value_or(0); }

 private:
  // Since when something has held; never: it does not.
  class Held {
   public:
    Duration note(bool holds, TimePoint now) {
      if (!holds) since_ = TimePoint::max();
      if (holds && since_ == TimePoint::max()) since_ = now;
      return holds ? now - since_ : Duration(-1);
    }
    void forget() { since_ = TimePoint::max(); }

   private:
    TimePoint since_ = TimePoint::max();
  };

  void smooth(const ScaleSignals& signals, TimePoint now);
  std::string vote(const ScaleSignals& signals, TimePoint now);
  [[nodiscard]] bool could_do_with_less(const ScaleSignals& signals) const;

  config::Autoscale settings_;
  // Means of late.
  std::optional<double> cpu_;
  double inside_ = 0;
  TimePoint at_{};
  Held busy_;
  Held gpu_busy_;
  Held queued_;
  Held slow_;
  Held trouble_;
  Held calm_;
};

}  // namespace spillway::fleet
