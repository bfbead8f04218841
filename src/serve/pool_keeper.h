// Models that take turns in a Backend's memory: loads the one that is asked for, and lets others make way.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "backend/condition.h"
#include "base/loop_timers.h"
#include "config/config.h"
#include "fleet/fleet.h"
#include "fleet/pool.h"

namespace spillway::serve {

// Looks at the Gates of all members every kEvery and does what fleet::PoolScheduler says. The control thread's.
class PoolKeeper {
 public:
  static constexpr milliseconds kEvery{50};  // what a request for a Model that is not loaded waits on top, at most
  static constexpr seconds kWantedFor{30};   // a request that went elsewhere counts for so long
  static constexpr std::uint64_t kSystem = 1ull << 30;  // bytes of the machine that are left alone

  PoolKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions);
  ~PoolKeeper();
  PoolKeeper(const PoolKeeper&) = delete;
  PoolKeeper& operator=(const PoolKeeper&) = delete;

  // The pools of that Config (with_members()) and no others, from now on.
  void keep(const config::Config& config);
  void stop();

 private:
  // When they were looked at last.
  struct Counters {
    std::uint64_t wanted = 0;    // Condition::wanted()
    std::uint64_t admitted = 0;  // by its Gate
  };
  struct Member {
    std::string backend;
    TimePoint wanted_at{};  // when a request went elsewhere last; long ago: it is not wanted
  };
  struct Pool {
    fleet::PoolScheduler scheduler;
    std::vector<Member> members;
  };

  void look();
  void look_at(Pool& pool, const std::vector<fleet::ReplicaStatus>& replicas);

  LoopTimers& timers_;
  fleet::Fleet& fleet_;
  backend::Conditions& conditions_;
  std::map<std::string, Pool> pools_;
  std::map<std::string, Counters> counters_;  // over a reload, too
  LoopTimers::Entry timer_;
};

}  // namespace spillway::serve
