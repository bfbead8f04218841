// Many deadlines on one loop, cheaply: a timing wheel behind a single Asio timer.
//
// Why not a steady_timer per connection: every one that is armed and re-armed costs a heap
// operation and, when it is the earliest, a timerfd_settime call. Here arming later than before
// (what each token does to the idle timer) is one store; the entry is moved on when its slot comes up.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <vector>

#include "base/loop.h"
#include "base/time.h"

namespace spillway {

// Owned by one loop and used only from its thread. Entries that outlive it never fire and must not
// be armed again; they may only be destroyed.
class LoopTimers {
 public:
  // An entry fires at most kTick after its instant, never before.
  static constexpr milliseconds kTick{4};
  static constexpr std::size_t kSlots = 1024;  // horizon 4.1 s; what lies beyond is moved on once a turn

  explicit LoopTimers(asio::io_context& loop);
  ~LoopTimers();
  LoopTimers(const LoopTimers&) = delete;
  LoopTimers& operator=(const LoopTimers&) = delete;

  // One deadline with what to do when it passes. The callback may arm the entry again or destroy it.
  class Entry {
   public:
    Entry(LoopTimers& timers, std::function<void()> on_time);
    ~Entry();
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

    // Fires once at `at`; replaces what was armed before.
    void arm(TimePoint at);
    void disarm() { at_ = TimePoint::max(); }
    [[nodiscard]] bool armed() const { return at_ != TimePoint::max(); }

   private:
    friend class LoopTimers;
    LoopTimers& timers_;
    std::function<void()> on_time_;
    TimePoint at_ = TimePoint::max();
    std::uint64_t tick_ = 0;  // of the slot that it hangs in
    Entry* previous_ = nullptr;
    Entry* next_ = nullptr;
    bool linked_ = false;
  };

 private:
  static std::uint64_t tick_of(TimePoint at);  // the first tick at or after `at`

  void link(Entry& entry, std::uint64_t tick);
  void unlink(Entry& entry);
  void schedule(std::uint64_t tick);
  void run();

  asio::steady_timer timer_;
  std::vector<Entry*> slots_;
  std::uint64_t current_ = 0;    // all slots before it are done
  std::uint64_t scheduled_ = 0;  // the tick that timer_ waits for; 0: none
  std::size_t count_ = 0;
  Entry* cursor_ = nullptr;  // the next entry of the slot being run; kept right by unlink()
};

}  // namespace spillway
