#include "serve/pool_keeper.h"

#include <algorithm>
#include <numeric>

#include "fleet/plan.h"

namespace spillway::serve {

PoolKeeper::PoolKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions)
    : timers_(timers), fleet_(fleet), conditions_(conditions), timer_(timers_, [this] { look(); }) {}

PoolKeeper::~PoolKeeper() { stop(); }

void PoolKeeper::keep(const config::Config& config) {
  stop();
  for (const config::Backend& backend : config.backends) {
    if (!backend.takes_turns()) continue;
    Pool& pool = pools_[backend.member_of];
    if (pool.members.empty()) {
      std::uint64_t room = backend.memory;
      if (room == 0) {
        room = fleet::memory_for_engines(false);
        room -= std::min(room, kSystem);
      }
      pool.scheduler.set({room, backend.unload_after});
    }
    pool.members.push_back({backend.name, now() - kWantedFor});
  }
  if (!pools_.empty()) timer_.arm(now() + kEvery);
}

void PoolKeeper::stop() {
  timer_.disarm();
  pools_.clear();
}

void PoolKeeper::look() {
  const std::vector<fleet::ReplicaStatus> replicas = fleet_.status();
  for (auto& [name, pool] : pools_) look_at(pool, replicas);
  timer_.arm(now() + kEvery);
}

void PoolKeeper::look_at(Pool& pool, const std::vector<fleet::ReplicaStatus>& replicas) {
  using State = fleet::PoolMember::State;
  using Replica = fleet::ReplicaStatus::State;
  std::vector<fleet::PoolMember> members;
  std::vector<std::string> failing;
  for (Member& member : pool.members) {
    backend::Condition& condition = *conditions_.of(member.backend);
    const admit::Gate::Numbers numbers = condition.gate().numbers(now());
    fleet::PoolMember seen;
    seen.waiting = std::accumulate(numbers.waiting.begin(), numbers.waiting.end(), std::size_t{0});
    seen.inside = numbers.inside;
    Counters& before = counters_[member.backend];
    const Counters counters{condition.wanted(), numbers.admitted};
    if (counters.wanted != before.wanted) member.wanted_at = now();
    seen.used = counters.admitted != before.admitted;
    before = counters;
    seen.wanted = now() - member.wanted_at < kWantedFor;
    for (const fleet::ReplicaStatus& replica : replicas) {
      if (replica.backend != member.backend) continue;
      if (replica.serving) {
        seen.memory = replica.memory.total();
        if (replica.state == Replica::kReady) seen.state = State::kReady;
        if (replica.state == Replica::kStarting) seen.state = State::kLoading;
        if (replica.state == Replica::kFailing) failing.push_back(member.backend);
      } else if (seen.state == State::kUnloaded) {
        seen.state = State::kLeaving;  // it answers what was begun
      }
    }
    members.push_back(seen);
  }
  // One that cannot be loaded does not keep the room from others; who asks for it next tries anew.
  for (const std::string& backend : failing) fleet_.unload(backend);
  for (const fleet::PoolScheduler::Action& action : pool.scheduler.decide(members, now())) {
    const std::string& backend = pool.members[action.member].backend;
    if (action.load) {
      fleet_.load(backend);
    } else {
      fleet_.unload(backend);
    }
  }
}

}  // namespace spillway::serve
