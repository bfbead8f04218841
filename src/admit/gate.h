// What one Backend is given at once, and who waits for it.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <vector>

#include "admit/limiter.h"
#include "admit/queue.h"
#include "admit/rate_window.h"
#include "base/mutex.h"
#include "base/time.h"

namespace spillway::admit {

// One Attempt at one Gate, in the frame of whoever makes it. Goes only after Gate::leave().
class Ticket {
 public:
  enum class State {
    kOutside,
    kWaiting,
    kInside,   // it holds a permit
    kShed,     // it would wait too long, or had to give way
    kStopped,  // there is nothing behind the Gate
  };

 private:
  friend class Gate;
  friend class Queue;
  struct Place {
    std::uint64_t number = 0;
    Priority priority = Priority::kNormal;
  };
  State state_ = State::kOutside;
  Place place_;
  std::function<void()> wake_;
  TimePoint since_{};
  milliseconds retry_after_{0};
};

// For one Backend, shared by all threads and kept over a reload. Pure but for its lock: all times are handed in, and
// whoever may go on is told by the function that it left. Every permit that is given comes back by leave().
class Gate {
 public:
  struct Settings {
    Limiter::Settings limiter;
    std::uint32_t rate = 0;  // Attempts in any window of `rate_window`; 0: no limit
    milliseconds rate_window{0};
    // There is no more than the limit: slots of an engine, or what the operator says. Then critical requests have
    // `extra` places on top, or where there are none, a part of the limit is kept for them when there have been any of
    // late. Where it is not hard, they may exceed it.
    bool hard = false;
    int extra = 0;
    bool loads = false;  // what is behind has to come first: until set_behind() says so, all wait
    std::size_t max_waiting = 1'000;
    milliseconds max_wait{30'000};  // that is foreseen; a newcomer with a longer one is shed
    bool operator==(const Settings&) const = default;
  };
  enum class Behind {
    kReady,
    kLoading,  // all wait
    kStopped,  // nobody does
  };
  static constexpr int kMany = 1 << 30;
  static constexpr milliseconds kLongestRetryAfter{60'000};
  static constexpr seconds kCriticalFor{60};  // after a critical request another one is expected

  // Those who wait are let in by the new settings at once.
  void set(const Settings& settings, TimePoint at);
  void set_behind(Behind behind, TimePoint at);

  // Holds below the limit, for each priority: one of it is let in while fewer than so many are inside.
  using Caps = std::array<int, kPriorities>;
  static constexpr Caps kNoCaps{kMany, kMany, kMany, kMany};
  void set_caps(const Caps& caps, TimePoint at);

  // Whether a newcomer would have to wait: then it goes elsewhere, which counts as waiting for the limit's growth.
  [[nodiscard]] bool would_wait(Priority priority, TimePoint at);

  // In, where there is room at once; else nothing happens.
  bool try_enter(Ticket& ticket, Priority priority, TimePoint at);
  // kInside, kShed, kStopped; or kWaiting: `wake` is called, from any thread, when that changes. `until`: it is of no
  // use later.
  Ticket::State enter(Ticket& ticket, Priority priority, TimePoint until, std::function<void()> wake, TimePoint at);
  [[nodiscard]] Ticket::State state_of(const Ticket& ticket) const;
  // Of one that was shed: when to come back, so that all who are told come one after the other.
  [[nodiscard]] milliseconds retry_after(const Ticket& ticket) const;
  // Lets in whoever may go by now. Returns when to call again, where the rate is what is waited for; else the far
  // future.
  TimePoint poll(TimePoint at);
  // Gives the permit back, or the place in the queue.
  void leave(Ticket& ticket, TimePoint at);

  // Of an Attempt that is inside.
  void answered(Duration first_token, TimePoint at);
  void refused(TimePoint at);

  struct Numbers {
    int limit = 0;  // 0: none
    int inside = 0;
    std::array<std::size_t, kPriorities> waiting{};
    std::uint64_t shed = 0;
    std::uint64_t admitted = 0;  // all that ever were let in
    int cap = 0;                 // below the limit, for priority normal; kMany: none
    milliseconds wait{0};        // that a newcomer of priority normal would have
  };
  [[nodiscard]] Numbers numbers(TimePoint at) const;

 private:
  using Wakes = std::vector<std::function<void()>>;

  void note(Priority priority, TimePoint at) SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] bool room_for(Priority priority, TimePoint at) const SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] Duration foreseen(Priority priority, TimePoint at) const SPILLWAY_REQUIRES(mutex_);
  void admit(Ticket& ticket, TimePoint at) SPILLWAY_REQUIRES(mutex_);
  void shed(Ticket& ticket, TimePoint at, Wakes& wakes) SPILLWAY_REQUIRES(mutex_);
  void let_in(TimePoint at, Wakes& wakes) SPILLWAY_REQUIRES(mutex_);
  static void call(const Wakes& wakes);

  mutable Mutex mutex_;
  Settings settings_ SPILLWAY_GUARDED_BY(mutex_);
  Limiter limiter_ SPILLWAY_GUARDED_BY(mutex_);
  RateWindow rate_ SPILLWAY_GUARDED_BY(mutex_);
  Queue queue_ SPILLWAY_GUARDED_BY(mutex_);
  Caps caps_ SPILLWAY_GUARDED_BY(mutex_) = kNoCaps;
  Behind behind_ SPILLWAY_GUARDED_BY(mutex_) = Behind::kReady;
  int inside_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  double held_ms_ SPILLWAY_GUARDED_BY(mutex_) = 0;  // a permit, on the average
  std::uint64_t shed_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  std::uint64_t admitted_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  TimePoint critical_until_ SPILLWAY_GUARDED_BY(mutex_){};  // some are expected
  TimePoint promised_until_ SPILLWAY_GUARDED_BY(mutex_){};  // what those that were shed have been told
};

}  // namespace spillway::admit
