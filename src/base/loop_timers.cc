#include "base/loop_timers.h"

#include <algorithm>

namespace spillway {

LoopTimers::LoopTimers(asio::io_context& loop) : timer_(loop), slots_(kSlots, nullptr), current_(tick_of(now())) {}

LoopTimers::~LoopTimers() {
  for (Entry* entry : slots_) {
    for (; entry != nullptr; entry = entry->next_) entry->linked_ = false;
  }
}

std::uint64_t LoopTimers::tick_of(TimePoint at) {
  constexpr auto tick = std::chrono::duration_cast<Duration>(kTick).count();
  const auto count = at.time_since_epoch().count();
  return static_cast<std::uint64_t>(count / tick + (count % tick > 0 ? 1 : 0));  // adding first could overflow
}

LoopTimers::Entry::Entry(LoopTimers& timers, std::function<void()> on_time)
    : timers_(timers), on_time_(std::move(on_time)) {}

LoopTimers::Entry::~Entry() {
  if (linked_) timers_.unlink(*this);
}

void LoopTimers::Entry::arm(TimePoint at) {
  at_ = at;
  if (at == TimePoint::max()) return;
  const std::uint64_t tick = tick_of(at);
  if (linked_) {
    if (tick >= tick_) return;  // moved on when its slot comes up
    timers_.unlink(*this);
  }
  timers_.link(*this, tick);
}

void LoopTimers::link(Entry& entry, std::uint64_t tick) {
  if (count_ == 0) current_ = std::max(current_, tick_of(now()) - 1);
  tick = std::clamp(tick, current_ + 1, current_ + kSlots - 1);
  Entry*& head = slots_[tick % kSlots];
  entry.tick_ = tick;
  entry.previous_ = nullptr;
  entry.next_ = head;
  if (head != nullptr) head->previous_ = &entry;
  head = &entry;
  entry.linked_ = true;
  ++count_;
  if (scheduled_ == 0 || tick < scheduled_) schedule(tick);
}

void LoopTimers::unlink(Entry& entry) {
  if (cursor_ == &entry) cursor_ = entry.next_;
  if (entry.previous_ != nullptr) {
    entry.previous_->next_ = entry.next_;
  } else {
    slots_[entry.tick_ % kSlots] = entry.next_;
  }
  if (entry.next_ != nullptr) entry.next_->previous_ = entry.previous_;
  entry.linked_ = false;
  --count_;
}

void LoopTimers::schedule(std::uint64_t tick) {
  scheduled_ = tick;
  timer_.expires_at(TimePoint(std::chrono::duration_cast<Duration>(kTick) * static_cast<Duration::rep>(tick)));
  timer_.async_wait([this](const ErrorStatus& ec) {
    if (!ec) run();
  });
}

void LoopTimers::run() {
  scheduled_ = 0;
  const TimePoint at = now();
  // All whole ticks that have passed; a loop that was held up does at most one turn.
  const std::uint64_t last = tick_of(at) - 1 + (at.time_since_epoch() % Duration(kTick) == Duration::zero() ? 1 : 0);
  const std::uint64_t from = std::max(current_ + 1, last >= kSlots ? last - kSlots + 1 : 0);
  for (std::uint64_t tick = from; tick <= last && count_ > 0; ++tick) {
    current_ = tick;
    cursor_ = slots_[tick % kSlots];
    while (cursor_ != nullptr) {
      Entry& entry = *cursor_;
      unlink(entry);  // moves the cursor on
      if (entry.at_ == TimePoint::max()) continue;
      if (entry.at_ > at) {
        Entry* const keep = cursor_;
        link(entry, tick_of(entry.at_));
        cursor_ = keep;
        continue;
      }
      entry.at_ = TimePoint::max();
      entry.on_time_();
    }
  }
  current_ = std::max(current_, last);
  if (count_ == 0) return;
  for (std::uint64_t tick = current_ + 1; tick < current_ + kSlots; ++tick) {
    if (slots_[tick % kSlots] != nullptr) {
      if (scheduled_ == 0 || tick < scheduled_) schedule(tick);
      return;
    }
  }
}

}  // namespace spillway
