// One Replica of a local Backend: the shell that joins Supervisor, Launcher, LogFile and Probe.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "fleet/fleet.h"
#include "fleet/hang_watch.h"
#include "fleet/launcher/launcher.h"
#include "fleet/launcher/log_file.h"
#include "fleet/plan.h"
#include "fleet/supervisor.h"

namespace spillway::fleet {

// Owned and used on the loop's thread, which must live as long as the process (see Process). `launcher` outlives it.
class Replica {
 public:
  // `on_change` is called from the loop whenever status() has changed, never from within a call of
  // the functions below. It may destroy the Replica.
  Replica(boost::asio::io_context& loop, Launcher& launcher, ReplicaPlan plan, Probe probe,
          const Supervisor::Timing& timing, std::function<void()> on_change);
  ~Replica();  // kills the engine, if it still runs as a process of ours
  Replica(const Replica&) = delete;
  Replica& operator=(const Replica&) = delete;

  // Once.
  void start();
  // SIGTERM, and SIGKILL after the grace; ended() holds when it is done.
  void stop();

  // Called when the engine has said what it takes.
  void on_measured(std::function<void(const ReplicaPlan&, const MemoryUse&)> call) { on_measured_ = std::move(call); }

  // What its Backend has to do, for seeing whether it hangs.
  void set_work(std::function<Work()> work) { work_ = std::move(work); }

  // A plan that is same_run() with its own: what it changes for Spillway holds from now on.
  void adopt(const ReplicaPlan& plan);

  [[nodiscard]] const ReplicaPlan& plan() const { return plan_; }
  [[nodiscard]] bool ready() const { return supervisor_.phase() == Supervisor::Phase::kReady; }
  // Its engine is ready, or on its way.
  [[nodiscard]] bool runs() const {
    const Supervisor::Phase phase = supervisor_.phase();
    return ready() || phase == Supervisor::Phase::kLaunching || phase == Supervisor::Phase::kProbing;
  }
  [[nodiscard]] bool ended() const { return supervisor_.phase() == Supervisor::Phase::kStopped; }
  // Its last start was not tried: there was no room.
  [[nodiscard]] bool lacks_memory() const { return lacks_memory_; }
  // Of its engine, since that started; 0 where there is none.
  [[nodiscard]] Duration processor_time() const { return instance_ ? instance_->processor_time() : Duration{}; }
  // Without a lease. kStopped as soon as stop() was called; `pid` tells whether it still runs.
  [[nodiscard]] ReplicaStatus status() const;

 private:
  static constexpr seconds kHangProbe{10};  // for a completion of one that seems to hang
  static constexpr seconds kLogCheck{60};   // an engine writes far less than LogFile::kMaxBytes in that time

  void feed(Event event);
  void drain_events();
  void perform(const Action& action);
  void launch();
  void handle_launched(Result<std::unique_ptr<Instance>> launched);
  void handle_exit(Exit exit);
  void probe(int start);
  void begin_watch();
  void watch();
  void ask(ProbeRequest::What what);
  void obey(HangWatch::Step step);
  void arm(TimePoint at);
  void check_log_size();
  void tell_transition(Supervisor::Phase before);
  void note_memory();
  void post_change();

  boost::asio::io_context& loop_;
  Launcher& launcher_;
  ReplicaPlan plan_;
  Probe probe_;
  std::function<void()> on_change_;
  Supervisor::Timing timing_;
  Supervisor supervisor_;
  LogFile log_file_;
  boost::asio::steady_timer timer_;
  boost::asio::steady_timer log_timer_;
  boost::asio::steady_timer watch_timer_;
  std::unique_ptr<Instance> instance_;
  bool lacks_memory_ = false;
  std::optional<MemoryUse> measured_;
  std::function<void(const ReplicaPlan&, const MemoryUse&)> on_measured_;
  std::function<Work()> work_;
  HangWatch hang_watch_;
  std::uint64_t admitted_ = 0;      // when it was looked at last
  bool asking_for_health_ = false;  // a probe is under way
  std::deque<Event> events_;
  bool draining_ = false;
  bool change_posted_ = false;
  std::shared_ptr<Replica*> self_;  // what callbacks hold weakly: they may come after our end
};

}  // namespace spillway::fleet
