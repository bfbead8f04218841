// Which of several Models that share memory are loaded: least recently used ones make way, none while it is being
// asked.
//
// Pure: no clock, no I/O. The shell (serve/pool_keeper) tells every few tens of milliseconds how things stand, and does
// what comes back. Rules, in this order:
//   1. Who has waited longest goes first; while it cannot be loaded, nobody else may take the room.
//   2. Room is made of idle ones, the least recently used first, and only when that makes enough.
//   3. One that was loaded stays for kStays times what its load took (within kLeastStay and kTurn), idle or not: so at
//   most a
//      third of the time is spent loading, and those who wait for one Model are served together.
//   4. Where idle ones are not enough and somebody has waited for kTurn, busy ones take no new requests, the one that
//   was
//      loaded first before others; what they answer is ended first.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/time.h"

namespace spillway::fleet {

struct PoolMember {
  enum class State {
    kUnloaded,
    kLoading,
    kReady,
    kLeaving,  // it takes no new requests; its memory is not free yet
  };
  State state = State::kUnloaded;
  std::uint64_t memory = 0;  // bytes that it takes or would take
  std::size_t waiting = 0;   // requests for it
  int inside = 0;            // requests that it answers
  bool used = false;         // it was asked since the last look, however shortly
  bool wanted = false;       // a request went elsewhere, since it was not loaded: counts as one that waits
};

class PoolScheduler {
 public:
  static constexpr int kStays = 2;
  static constexpr milliseconds kLeastStay{500};
  static constexpr milliseconds kTurn{10'000};

  struct Settings {
    std::uint64_t room = 0;        // bytes, for all of them
    milliseconds unload_after{0};  // idle for so long, one is unloaded though nobody needs the room; 0: never
  };
  struct Action {
    bool load = false;  // or: unload
    std::size_t member = 0;
    bool operator==(const Action&) const = default;
  };

  void set(const Settings& settings) { settings_ = settings; }

  // `members` keep their places from call to call; other ones than before begin anew.
  std::vector<Action> decide(std::span<const PoolMember> members, TimePoint now);

 private:
  struct Known {
    PoolMember::State state = PoolMember::State::kUnloaded;
    TimePoint last_used{};
    TimePoint wanted_since = TimePoint::max();
    TimePoint load_began{};
    TimePoint ready_since{};
    Duration load_took{};
  };

  void observe(std::span<const PoolMember> members, TimePoint now);
  [[nodiscard]] std::vector<std::size_t> victims_for(std::span<const PoolMember> members, std::uint64_t needed,
                                                     TimePoint wanted_since, TimePoint now) const;
  [[nodiscard]] bool may_leave(std::size_t member, TimePoint now) const;
  void unload_idle(std::span<const PoolMember> members, TimePoint now, std::vector<Action>& out) const;

  Settings settings_;
  std::vector<Known> known_;
};

}  // namespace spillway::fleet
