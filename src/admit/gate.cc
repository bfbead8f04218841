#include "admit/gate.h"

#include <algorithm>

#include "base/mutex.h"

namespace spillway::admit {

namespace {

constexpr double kWeight = 0.1;              // of the newest in the mean time that a permit is held
constexpr milliseconds kUnknownWait{1'000};  // before there was an answer

// For critical requests alone, so that they need not wait until one of many is done.
int reserve_of(int limit) { return std::max(1, limit / 8); }

}  // namespace

void Gate::set(const Settings& settings, TimePoint at) {
  Wakes wakes;
  {
    const MutexLock lock(mutex_);
    if (settings.loads != settings_.loads) behind_ = settings.loads ? Behind::kLoading : Behind::kReady;
    settings_ = settings;
    limiter_.set(settings.limiter);
    rate_.set(settings.rate, settings.rate_window);
    queue_.set_most(settings.max_waiting);
    let_in(at, wakes);
  }
  call(wakes);
}

void Gate::set_behind(Behind behind, TimePoint at) {
  Wakes wakes;
  {
    const MutexLock lock(mutex_);
    behind_ = behind;
    if (behind == Behind::kStopped) {
      while (Ticket* const ticket = queue_.pop()) {
        ticket->state_ = Ticket::State::kStopped;
        wakes.push_back(std::move(ticket->wake_));
      }
    }
    let_in(at, wakes);
  }
  call(wakes);
}

void Gate::set_caps(const Caps& caps, TimePoint at) {
  Wakes wakes;
  {
    const MutexLock lock(mutex_);
    caps_ = caps;
    let_in(at, wakes);
  }
  call(wakes);
}

void Gate::call(const Wakes& wakes) {
  for (const auto& wake : wakes) wake();
}

void Gate::note(Priority priority, TimePoint at) {
  if (priority == Priority::kCritical) critical_until_ = at + kCriticalFor;
}

bool Gate::room_for(Priority priority, TimePoint at) const {
  const int limit = limiter_.limit();
  const int reserve = reserve_of(limit);
  const bool critical = priority == Priority::kCritical;
  if (inside_ >= caps_[static_cast<std::size_t>(priority)]) return false;
  if (!settings_.hard) return inside_ < (critical ? limit + reserve : limit);
  if (settings_.extra > 0) return inside_ < (critical ? limit + settings_.extra : limit);
  return inside_ < (critical || limit == 1 || at >= critical_until_ ? limit : limit - reserve);
}

bool Gate::would_wait(Priority priority, TimePoint at) {
  const MutexLock lock(mutex_);
  note(priority, at);
  if (behind_ == Behind::kLoading) return true;
  const bool room = room_for(priority, at) && queue_.ahead_of(priority) == 0;
  if (!room) limiter_.waited();
  return !room || rate_.when(at) > at;
}

void Gate::admit(Ticket& ticket, TimePoint at) {
  ticket.state_ = Ticket::State::kInside;
  ticket.since_ = at;
  ++inside_;
  ++admitted_;
  rate_.take(at);
}

bool Gate::try_enter(Ticket& ticket, Priority priority, TimePoint at) {
  const MutexLock lock(mutex_);
  note(priority, at);
  if (behind_ != Behind::kReady || !room_for(priority, at) || queue_.ahead_of(priority) > 0 || rate_.when(at) > at)
    return false;
  admit(ticket, at);
  return true;
}

// Until a newcomer would be let in: as many as are before it have to leave, at the pace of late.
Duration Gate::foreseen(Priority priority, TimePoint at) const {
  const auto ahead = static_cast<double>(queue_.ahead_of(priority));
  const double by_room = room_for(priority, at) && ahead == 0 ? 0 : held_ms_ * (ahead + 1) / limiter_.limit();
  const Duration room = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(by_room));
  return std::max(room, rate_.when(at, queue_.ahead_of(priority)) - at);
}

void Gate::shed(Ticket& ticket, TimePoint at, Wakes& wakes) {
  const Duration wait = foreseen(ticket.place_.priority, at);
  const Duration pace =
      held_ms_ > 0
          ? std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(held_ms_ / limiter_.limit()))
          : Duration(kUnknownWait);
  TimePoint next = std::max(promised_until_, at + wait) + pace;
  if (next > at + kLongestRetryAfter) next = std::min(at + wait + pace, at + kLongestRetryAfter);  // all over again
  promised_until_ = next;
  ticket.retry_after_ = std::chrono::ceil<milliseconds>(next - at);
  ticket.state_ = Ticket::State::kShed;
  ++shed_;
  if (ticket.wake_) wakes.push_back(std::move(ticket.wake_));
}

Ticket::State Gate::enter(Ticket& ticket, Priority priority, TimePoint until, std::function<void()> wake,
                          TimePoint at) {
  Wakes wakes;
  Ticket::State state = Ticket::State::kWaiting;
  {
    const MutexLock lock(mutex_);
    note(priority, at);
    ticket.place_.priority = priority;
    ticket.since_ = at;
    ticket.wake_ = nullptr;
    const bool loading = behind_ == Behind::kLoading;
    const Duration wait = loading ? Duration(0) : foreseen(priority, at);
    if (behind_ == Behind::kStopped) {
      ticket.state_ = Ticket::State::kStopped;
    } else if (wait > settings_.max_wait || at + wait > until) {
      shed(ticket, at, wakes);
    } else {
      limiter_.waited();
      ticket.state_ = Ticket::State::kWaiting;
      Ticket* const out = queue_.push(ticket, priority);
      if (out != nullptr) shed(*out, at, wakes);
      let_in(at, wakes);
      if (ticket.state_ == Ticket::State::kWaiting) ticket.wake_ = std::move(wake);
    }
    state = ticket.state_;
  }
  call(wakes);
  return state;
}

Ticket::State Gate::state_of(const Ticket& ticket) const {
  const MutexLock lock(mutex_);
  return ticket.state_;
}

milliseconds Gate::retry_after(const Ticket& ticket) const {
  const MutexLock lock(mutex_);
  return ticket.retry_after_;
}

void Gate::let_in(TimePoint at, Wakes& wakes) {
  while (behind_ == Behind::kReady && queue_.size() > 0 && rate_.when(at) <= at) {
    Ticket* ticket = nullptr;
    for (std::size_t i = kPriorities; i-- > 0 && ticket == nullptr;) {
      const auto lowest = static_cast<Priority>(i);
      if (!room_for(lowest, at)) continue;
      ticket = queue_.pop(lowest);
      break;  // what has room for this one has room for any above it
    }
    if (ticket == nullptr) return;
    admit(*ticket, at);
    if (ticket->wake_) wakes.push_back(std::move(ticket->wake_));
  }
}

TimePoint Gate::poll(TimePoint at) {
  Wakes wakes;
  TimePoint next = TimePoint::max();
  {
    const MutexLock lock(mutex_);
    let_in(at, wakes);
    if (queue_.size() > 0 && rate_.when(at) > at) next = rate_.when(at);
  }
  call(wakes);
  return next;
}

void Gate::leave(Ticket& ticket, TimePoint at) {
  Wakes wakes;
  {
    const MutexLock lock(mutex_);
    if (ticket.state_ == Ticket::State::kWaiting) {
      queue_.remove(ticket);
    } else if (ticket.state_ == Ticket::State::kInside) {
      --inside_;
      const double held = to_ms(at - ticket.since_);
      held_ms_ = held_ms_ <= 0 ? held : held_ms_ + kWeight * (held - held_ms_);
      let_in(at, wakes);
    }
    ticket.state_ = Ticket::State::kOutside;
    ticket.wake_ = nullptr;
  }
  call(wakes);
}

void Gate::answered(Duration first_token, TimePoint at) {
  const MutexLock lock(mutex_);
  limiter_.answered(first_token, inside_, at);
}

void Gate::refused(TimePoint at) {
  const MutexLock lock(mutex_);
  limiter_.refused(inside_, at);
}

Gate::Numbers Gate::numbers(TimePoint at) const {
  const MutexLock lock(mutex_);
  Numbers out;
  const bool open = settings_.limiter.fixed == 0 && limiter_.limit() == settings_.limiter.most &&
                    settings_.limiter.most == Limiter::Settings{}.most;
  out.limit = open ? 0 : limiter_.limit();
  out.inside = inside_;
  out.cap = caps_[static_cast<std::size_t>(Priority::kNormal)];
  for (std::size_t i = 0; i < kPriorities; ++i) out.waiting[i] = queue_.size(static_cast<Priority>(i));
  out.shed = shed_;
  out.admitted = admitted_;
  out.wait = std::chrono::ceil<milliseconds>(foreseen(Priority::kNormal, at));
  return out;
}

}  // namespace spillway::admit
