#include "admit/queue.h"

#include "admit/gate.h"

namespace spillway::admit {

std::size_t Queue::ahead_of(Priority priority) const {
  std::size_t sum = 0;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(priority); ++i) sum += lists_[i].size();
  return sum;
}

Ticket* Queue::push(Ticket& ticket, Priority priority) {
  Ticket* out = nullptr;
  if (size_ >= most_) {
    out = &ticket;
    for (std::size_t i = kPriorities; i-- > static_cast<std::size_t>(priority) + 1;) {
      if (lists_[i].empty()) continue;
      const auto newest = std::prev(lists_[i].end());
      out = newest->second;
      lists_[i].erase(newest);
      --size_;
      break;
    }
    if (out == &ticket) return out;
  }
  ticket.place_ = {next_, priority};
  lists_[static_cast<std::size_t>(priority)].emplace(next_++, &ticket);
  ++size_;
  return out;
}

Ticket* Queue::take(List& list) {
  const auto first = list.begin();
  Ticket* const ticket = first->second;
  list.erase(first);
  --size_;
  return ticket;
}

Ticket* Queue::pop(Priority lowest) {
  List* chosen = nullptr;
  const bool guard = (popped_ + 1) % kGuard == 0;
  for (std::size_t i = 0; i <= static_cast<std::size_t>(lowest); ++i) {
    List& list = lists_[i];
    if (list.empty()) continue;
    if (chosen == nullptr || (guard && list.begin()->first < chosen->begin()->first)) chosen = &list;
  }
  if (chosen == nullptr) return nullptr;
  if (lowest != Priority::kCritical) ++popped_;
  return take(*chosen);
}

bool Queue::remove(const Ticket& ticket) {
  List& list = lists_[static_cast<std::size_t>(ticket.place_.priority)];
  const auto found = list.find(ticket.place_.number);
  if (found == list.end() || found->second != &ticket) return false;
  list.erase(found);
  --size_;
  return true;
}

}  // namespace spillway::admit
