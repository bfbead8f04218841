#include "backend/breaker.h"

#include <algorithm>
#include <cmath>

#include "base/mutex.h"

namespace spillway::backend {

namespace {

constexpr double kWeight = 0.1;               // of the newest in an average of times
constexpr double kForgottenPerMinute = 0.01;  // of the calm time
constexpr seconds kRiseEvery{1};              // at most so often its share is doubled
constexpr double kFall = 4;                   // what a failure divides its share by

milliseconds whole(double ms) { return milliseconds(static_cast<std::int64_t>(std::lround(ms))); }

}  // namespace

void Breaker::set(const Settings& settings) {
  const MutexLock lock(mutex_);
  if (settings.window != settings_.window) buckets_ = {};
  settings_ = settings;
  if (!settings.on) share_.store(1, std::memory_order_relaxed);
}

void Breaker::begin_anew() {
  const MutexLock lock(mutex_);
  buckets_ = {};
  in_a_row_ = good_ = 0;
  spared_ = 0;
  share_.store(1, std::memory_order_relaxed);
}

std::int64_t Breaker::step_of(TimePoint at) const {
  return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count() /
         std::max<std::int64_t>(settings_.window.count() * 1'000 / kSteps, 1);
}

Breaker::Bucket& Breaker::bucket(TimePoint at) {
  const std::int64_t step = step_of(at);
  Bucket& found = buckets_[static_cast<std::size_t>(step) % buckets_.size()];
  if (found.step != step) found = {step, 0, 0};
  return found;
}

// Of one window; of more, up to kWindows, until there are kEnough.
Breaker::Bucket Breaker::recent(TimePoint at) const {
  Bucket sum;
  const std::int64_t last = step_of(at);
  for (std::int64_t back = 0; back < kSteps * kWindows && back <= last; ++back) {
    if (back >= kSteps && sum.attempts >= kEnough) break;
    const Bucket& one = buckets_[static_cast<std::size_t>(last - back) % buckets_.size()];
    if (one.step != last - back) continue;
    sum.attempts += one.attempts;
    sum.failures += one.failures;
  }
  return sum;
}

bool Breaker::is_slow(double first_token_ms) const {
  return settings_.slow_factor > 0 && calm_ms_ > 0 && first_token_ms > settings_.slow_factor * calm_ms_ &&
         first_token_ms > calm_ms_ + static_cast<double>(kSlowBy.count());
}

bool Breaker::admit(TimePoint at) {
  const double share = share_.load(std::memory_order_relaxed);
  if (share >= 1) return true;
  const MutexLock lock(mutex_);
  ++spared_;
  if (spared_ * share < 1 && at < next_probe_) return false;
  next_probe_ = at + settings_.probe_interval;
  spared_ = 0;
  return true;
}

void Breaker::leave(TimePoint at) {
  share_.store(settings_.probe_share, std::memory_order_relaxed);
  good_ = 0;
  risen_at_ = at;
  next_probe_ = at + settings_.probe_interval;
}

void Breaker::fall(TimePoint at) {
  share_.store(std::max(settings_.probe_share, share_.load(std::memory_order_relaxed) / kFall),
               std::memory_order_relaxed);
  good_ = 0;
  next_probe_ = at + settings_.probe_interval;
}

// True: it has all of its traffic back.
bool Breaker::rise(TimePoint at) {
  next_probe_ = std::min(next_probe_, at + std::min<milliseconds>(kRiseEvery, settings_.probe_interval));
  if (++good_ < kGoodProbes || at < risen_at_ + std::min<milliseconds>(kRiseEvery, settings_.probe_interval))
    return false;
  good_ = 0;
  risen_at_ = at;
  const double share = std::min(1.0, 2 * share_.load(std::memory_order_relaxed));
  share_.store(share, std::memory_order_relaxed);
  if (share < 1) return false;
  buckets_ = {};
  recent_ms_ = calm_ms_;
  return true;
}

void Breaker::learn(double first_token_ms, TimePoint at) {
  // Of the logarithms, so that one answer in twenty that takes a hundred times as long is no news.
  const double ms = std::max(first_token_ms, 0.1);
  recent_ms_ = recent_ms_ <= 0 ? ms : recent_ms_ * std::pow(ms / recent_ms_, kWeight);
  if (timed_ == 0) timed_from_ = at;
  ++timed_;
  logs_ += std::log(ms);
  if (timed_ < kLeastTimed || at < timed_from_ + kLeastTime) return;
  const double mean = std::exp(logs_ / timed_);
  const double minutes = std::clamp(to_ms(at - learned_at_) / 60'000, 0.0, 60.0);
  calm_ms_ = calm_ms_ <= 0 ? mean : std::min(mean, calm_ms_ * (1 + kForgottenPerMinute * minutes));
  learned_at_ = at;
  timed_ = 0;
  logs_ = 0;
}

Breaker::Change Breaker::answered(Duration first_token, TimePoint at) {
  const MutexLock lock(mutex_);
  if (!settings_.on) return {};
  ++bucket(at).attempts;
  in_a_row_ = 0;
  const double ms = to_ms(first_token);
  if (share() < 1) {
    if (is_slow(ms)) {
      fall(at);
    } else if (rise(at)) {
      return {Change::Kind::kBack, 0, 0, whole(recent_ms_), whole(calm_ms_)};
    }
    return {};
  }
  learn(ms, at);
  if (!is_slow(recent_ms_)) return {};
  leave(at);
  return {Change::Kind::kSlow, 0, 0, whole(recent_ms_), whole(calm_ms_)};
}

Breaker::Change Breaker::outrun(Duration waited, TimePoint at) {
  const MutexLock lock(mutex_);
  if (!settings_.on || !is_slow(to_ms(waited))) return {};
  if (share() < 1) {
    fall(at);
    return {};
  }
  learn(to_ms(waited), at);
  if (!is_slow(recent_ms_)) return {};
  leave(at);
  return {Change::Kind::kSlow, 0, 0, whole(recent_ms_), whole(calm_ms_)};
}

Breaker::Change Breaker::failed(TimePoint at) {
  const MutexLock lock(mutex_);
  if (!settings_.on) return {};
  Bucket& now = bucket(at);
  ++now.attempts;
  ++now.failures;
  ++in_a_row_;
  if (share() < 1) {
    fall(at);
    return {};
  }
  const Bucket sum = recent(at);
  if (sum.failures < static_cast<std::uint32_t>(settings_.least_failures)) return {};
  // One that is dead is known long before its share of a busy window is large enough.
  if (in_a_row_ < settings_.least_failures && sum.failures < settings_.error_rate * sum.attempts) return {};
  leave(at);
  return {Change::Kind::kFails, sum.failures, sum.attempts, {}, {}};
}

milliseconds Breaker::first_token() const {
  const MutexLock lock(mutex_);
  return whole(recent_ms_);
}

}  // namespace spillway::backend
