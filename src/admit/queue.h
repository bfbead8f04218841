// Who waits, and who is next.
#pragma once

#include <array>
#include <cstdint>
#include <map>

#include "admit/priority.h"

namespace spillway::admit {

class Ticket;

// Bounded. The highest priority goes first, and within one whoever came first; but each kGuard-th that leaves is the
// one that has waited longest, whatever its priority: so a ticket with k before it in time leaves after at most kGuard
// · (k + 1) others. Pure; the caller locks.
class Queue {
 public:
  static constexpr std::uint32_t kGuard = 8;

  void set_most(std::size_t most) { most_ = most; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t size(Priority priority) const { return lists_[static_cast<std::size_t>(priority)].size(); }
  // Those that go before a newcomer of that priority, but for the guard.
  [[nodiscard]] std::size_t ahead_of(Priority priority) const;

  // Null: there was room. `ticket` itself: there was none. Another: the newest of the lowest priority, which had to
  // give way to a higher one.
  Ticket* push(Ticket& ticket, Priority priority);
  // Takes out who is next of those of `lowest` priority and above; null: nobody.
  Ticket* pop(Priority lowest = Priority::kBatch);
  // Whether it was there.
  bool remove(const Ticket& ticket);

 private:
  using List = std::map<std::uint64_t, Ticket*>;  // by the order of coming

  Ticket* take(List& list);

  std::array<List, kPriorities> lists_;
  std::size_t size_ = 0;
  std::size_t most_ = 1'000;
  std::uint64_t next_ = 0;
  std::uint32_t popped_ = 0;
};

}  // namespace spillway::admit
