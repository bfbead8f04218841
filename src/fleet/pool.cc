#include "fleet/pool.h"

#include <algorithm>

namespace spillway::fleet {

namespace {

using State = PoolMember::State;

bool is_idle(const PoolMember& member) { return member.waiting == 0 && member.inside == 0; }

bool takes_memory(const PoolMember& member) { return member.state != State::kUnloaded; }

}  // namespace

void PoolScheduler::observe(std::span<const PoolMember> members, TimePoint now) {
  if (known_.size() != members.size()) known_.assign(members.size(), {});
  for (std::size_t i = 0; i < members.size(); ++i) {
    const PoolMember& member = members[i];
    Known& known = known_[i];
    if (!is_idle(member) || member.used) known.last_used = now;
    if (member.state == State::kLoading && known.state != State::kLoading) known.load_began = now;
    if (member.state == State::kReady && known.state != State::kReady) {
      known.ready_since = now;
      known.last_used = now;
      known.load_took = known.state == State::kLoading ? now - known.load_began : Duration(0);
    }
    known.state = member.state;
    const bool loaded = member.state == State::kLoading || member.state == State::kReady;
    const bool missed = !loaded && (member.waiting > 0 || member.wanted);
    if (!missed) {
      known.wanted_since = TimePoint::max();
    } else if (known.wanted_since == TimePoint::max()) {
      known.wanted_since = now;
    }
  }
}

bool PoolScheduler::may_leave(std::size_t member, TimePoint now) const {
  const Duration stays = std::clamp<Duration>(known_[member].load_took * kStays, kLeastStay, kTurn);
  return now - known_[member].ready_since >= stays;
}

// Enough of them to free `needed` bytes; none where there are not.
std::vector<std::size_t> PoolScheduler::victims_for(std::span<const PoolMember> members, std::uint64_t needed,
                                                    TimePoint wanted_since, TimePoint now) const {
  std::vector<std::size_t> idle;
  std::vector<std::size_t> busy;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].state != State::kReady) continue;
    (is_idle(members[i]) ? idle : busy).push_back(i);
  }
  std::ranges::sort(idle, {}, [this](std::size_t i) { return known_[i].last_used; });
  std::ranges::sort(busy, {}, [this](std::size_t i) { return known_[i].ready_since; });
  if (now - wanted_since >= kTurn) {
    // A busy one has had its turn when it has been there for as long.
    std::erase_if(busy, [&](std::size_t i) { return now - known_[i].ready_since < kTurn; });
    idle.insert(idle.end(), busy.begin(), busy.end());
  }
  std::vector<std::size_t> out;
  std::uint64_t freed = 0;
  for (const std::size_t i : idle) {
    if (freed >= needed) break;
    if (!may_leave(i, now))
      return {};  // its time is soon over; to take a more recently used one instead would be no better
    freed += members[i].memory;
    out.push_back(i);
  }
  if (freed < needed) out.clear();
  return out;
}

void PoolScheduler::unload_idle(std::span<const PoolMember> members, TimePoint now, std::vector<Action>& out) const {
  if (settings_.unload_after.count() == 0) return;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (members[i].state == State::kReady && is_idle(members[i]) &&
        now - known_[i].last_used >= settings_.unload_after) {
      out.push_back({false, i});
    }
  }
}

std::vector<PoolScheduler::Action> PoolScheduler::decide(std::span<const PoolMember> members, TimePoint now) {
  observe(members, now);
  std::vector<Action> out;
  std::vector<std::size_t> wanted;
  std::uint64_t used = 0;
  std::uint64_t leaving = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    if (takes_memory(members[i])) used += members[i].memory;
    if (members[i].state == State::kLeaving) leaving += members[i].memory;
    // One that is leaving is loaded again when it has gone.
    if (members[i].state == State::kUnloaded && known_[i].wanted_since != TimePoint::max()) wanted.push_back(i);
  }
  std::ranges::sort(wanted, {}, [this](std::size_t i) { return known_[i].wanted_since; });
  for (const std::size_t i : wanted) {
    const std::uint64_t memory = members[i].memory;
    if (used + memory <= settings_.room) {
      used += memory;
      out.push_back({true, i});
      continue;
    }
    const std::uint64_t missing = used + memory - settings_.room;
    if (missing > leaving) {
      for (const std::size_t victim : victims_for(members, missing - leaving, known_[i].wanted_since, now))
        out.push_back({false, victim});
    }
    return out;  // the room that there is is for this one
  }
  if (wanted.empty()) unload_idle(members, now, out);
  return out;
}

}  // namespace spillway::fleet
