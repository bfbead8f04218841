// Standby Replicas: looks about once a second at how Backends are doing, and starts and ends what fleet::Autoscaler
// says.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "admin/status.h"
#include "backend/condition.h"
#include "base/loop_timers.h"
#include "config/config.h"
#include "fleet/autoscaler.h"
#include "fleet/fleet.h"
#include "fleet/hardware/gpus.h"

namespace spillway::serve {

// The control thread's.
class ScaleKeeper {
 public:
  static constexpr milliseconds kEvery{1'000};
  static constexpr std::size_t kRemembered = 20;    // decisions of a Backend
  static constexpr std::uint32_t kFailsInARow = 3;  // of a provider, before its Breaker may have seen enough

  ScaleKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions);
  ~ScaleKeeper();
  ScaleKeeper(const ScaleKeeper&) = delete;
  ScaleKeeper& operator=(const ScaleKeeper&) = delete;

  // The Backends with standbys of that Config (with_members()) and no others, from now on. What was decided of one that
  // stays is remembered, and its standbys go on.
  void keep(const config::Config& config);
  void stop();

  [[nodiscard]] std::vector<admin::ScaleStatus> status() const;

 private:
  struct Decided {
    TimePoint at{};
    int change = 0;
    int replicas = 0;
    std::string reason;
  };
  // What a member's engine had used when it was looked at last.
  struct Used {
    int pid = 0;
    Duration processor_time{};
    TimePoint at{};
  };
  struct Group {
    std::vector<config::Backend> members;  // those that always run first
    std::vector<std::string> providers;    // that share a Route with it
    fleet::Autoscaler scaler;
    fleet::ScaleSignals signals;  // as they were last
    std::map<std::string, Used> used;
    std::string held;
    std::deque<Decided> decisions;  // newest first
  };

  void look();
  void look_at(const std::string& name, Group& group, const std::vector<fleet::ReplicaStatus>& replicas);
  fleet::ScaleSignals signals_of(Group& group, const std::vector<fleet::ReplicaStatus>& replicas);
  std::optional<double> share_of_processors(Group& group, const fleet::ReplicaStatus& replica);

  LoopTimers& timers_;
  fleet::Fleet& fleet_;
  backend::Conditions& conditions_;
  std::map<std::string, Group> groups_;
  fleet::GpuUse gpus_;
  LoopTimers::Entry timer_;
};

}  // namespace spillway::serve
