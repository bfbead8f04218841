// When an engine is started, probed, given up, restarted and stopped.
//
// Pure: no clock, no I/O, no randomness. The shell (Replica) hands in Events and carries out the
// Actions that come back, in their order. One Supervisor for each Replica.
#pragma once

#include <string>
#include <vector>

#include "base/time.h"

namespace spillway::fleet {

constexpr milliseconds kProbeInterval{100};      // small models are loaded in under a second
constexpr milliseconds kProbeFastFor{10'000};    // after that the model is large, and 0.5 s more matter little
constexpr milliseconds kProbeSlowInterval{500};  // for those
constexpr milliseconds kStartTimeout{120'000};   // the default of a Backend's start_timeout
constexpr milliseconds kBackoffBase{250};        // the first restart comes within this: an engine is missed
constexpr milliseconds kBackoffLimit{30'000};    // as long as a mended model or disk may go unnoticed
constexpr milliseconds kStableAfter{60'000};     // ready for so long, an engine's past failures are forgotten
constexpr milliseconds kStopGrace{10'000};       // from SIGTERM to SIGKILL; llama-server takes well under 1 s
constexpr milliseconds kWatchInterval{1'000};    // a ready one is asked for its health, and looked at
constexpr int kFailingAfter = 3;                 // failed starts on end: no longer a hiccup

// Full jitter: `uniform01` of min(base * 2^(step - 1), limit); `step` counts from 1.
// Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
Duration full_jitter(int step, Duration base, Duration limit, double uniform01);

struct Event {
  enum class Kind {
    kStart,       // run it, from now on
    kStarted,     // the process runs
    kNotStarted,  // there is no process; `text` says why
    kProbeOk,     // of start number `start`, as are the next two
    kProbeNotYet,
    kProbeFailed,  // it will not do, however long one waits
    kHung,         // a ready one does nothing any more; `text` says how that shows
    kExited,       // `text`: how; `log`: what the engine said of it
    kTimer,        // the armed instant has come
    kStop,         // end it, for good
  };
  Kind kind;
  int start = 0;
  std::string text = {};
  std::string log = {};
};

struct Action {
  enum class Kind {
    kStartProcess,  // answered by kStarted or kNotStarted
    kProbe,         // answered by one of the three, with `start`
    kArmTimer,      // for `at`; replaces what was armed before
    kTerminate,     // SIGTERM; answered by kExited once the process is gone
    kKill,          // SIGKILL; likewise
    kReport,        // what can be asked here has changed
  };
  Kind kind;
  TimePoint at = {};
  int start = 0;

  bool operator==(const Action&) const = default;
};

class Supervisor {
 public:
  enum class Phase {
    kIdle,       // not asked to start yet
    kLaunching,  // the process is being made
    kProbing,    // it runs, and loads its model
    kReady,
    kKilling,  // it could not be made ready, or hung, and was killed; its exit is awaited
    kWaiting,  // for the next start, at next_timer()
    kStopping,
    kStopped,
  };
  struct Timing {
    Duration probe_interval = kProbeInterval;
    Duration probe_fast_for = kProbeFastFor;
    Duration probe_slow_interval = kProbeSlowInterval;
    Duration start_timeout = kStartTimeout;
    Duration backoff_base = kBackoffBase;
    Duration backoff_limit = kBackoffLimit;
    Duration stable_after = kStableAfter;
    Duration stop_grace = kStopGrace;
    Duration watch_interval = kWatchInterval;
    int failing_after = kFailingAfter;
  };

  explicit Supervisor(const Timing& timing) : timing_(timing) {}

  // Events that do not fit the phase (late probes, stale timers) are ignored.
  std::vector<Action> handle(const Event& event, TimePoint now, double uniform01);

  // Holds from the next start on.
  void set_start_timeout(Duration timeout) { timing_.start_timeout = timeout; }

  [[nodiscard]] Phase phase() const { return phase_; }
  [[nodiscard]] bool failing() const { return failed_starts_ >= timing_.failing_after; }
  [[nodiscard]] int starts() const { return starts_; }
  [[nodiscard]] int failed_starts() const { return failed_starts_; }  // on end
  [[nodiscard]] TimePoint next_timer() const { return timer_; }
  [[nodiscard]] TimePoint started_at() const { return started_at_; }
  [[nodiscard]] const std::string& detail() const { return detail_; }  // of the last failure

 private:
  using Actions = std::vector<Action>;

  void enter(Phase phase, Actions& out);
  void arm(TimePoint at, Actions& out);
  void launch(Actions& out);
  void handle_started(TimePoint now, Actions& out);
  void handle_probe(const Event& event, TimePoint now, Actions& out);
  void handle_exit(const Event& event, TimePoint now, double uniform01, Actions& out);
  void handle_timer(TimePoint now, Actions& out);
  void handle_stop(TimePoint now, Actions& out);
  void terminate(TimePoint now, Actions& out);
  void give_up(std::string why, Actions& out);
  void wait_for_restart(TimePoint now, double uniform01, Actions& out);
  void arm_probe(TimePoint now, Actions& out);

  Timing timing_;
  Phase phase_ = Phase::kIdle;
  bool stop_wanted_ = false;
  bool probing_ = false;    // a probe is under way
  bool was_ready_ = false;  // since its last start
  int starts_ = 0;
  int failed_starts_ = 0;
  int backoff_step_ = 0;
  TimePoint timer_ = TimePoint::max();
  TimePoint started_at_;
  TimePoint ready_at_;
  TimePoint start_deadline_;
  std::string detail_;
  std::string not_yet_;  // what the last probe said
};

}  // namespace spillway::fleet
