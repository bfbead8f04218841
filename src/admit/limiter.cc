#include "admit/limiter.h"

#include <algorithm>

namespace spillway::admit {

namespace {

int step_of(int limit) { return std::max(1, limit / 10); }

}  // namespace

void Limiter::set(const Settings& settings) {
  if (settings == settings_) return;
  settings_ = settings;
  limit_ = settings.fixed > 0 ? settings.fixed : std::min(settings.begin, settings.most);
  waited_ = found_ = false;
}

void Limiter::shrink(int in_flight, TimePoint at) {
  // From what was under way: a limit far above it would not be felt for long.
  const int now = std::min(limit_, std::max(in_flight, 1));
  limit_ = std::max(1, now - step_of(now));
  found_ = true;
  stale_ = in_flight;
  changed_at_ = at;
}

void Limiter::grow(TimePoint at) {
  if (!waited_ || at < changed_at_ + kGrowEvery) return;
  waited_ = false;
  changed_at_ = at;
  limit_ = std::min(settings_.most, found_ ? limit_ + step_of(limit_) : 2 * limit_);
}

void Limiter::answered(Duration first_token, int in_flight, TimePoint at) {
  if (settings_.fixed > 0) return;
  if (!settings_.by_first_token) return grow(at);
  if (stale_ > 0) {
    --stale_;
    return;
  }
  sum_ms_ += to_ms(first_token);
  if (++count_ < std::max(kLeastSample, std::min(limit_, in_flight))) return;
  const double mean = sum_ms_ / count_;
  sum_ms_ = 0;
  count_ = 0;
  const double minutes = std::clamp(to_ms(at - learned_at_) / 60'000, 0.0, 60.0);
  calm_ms_ = calm_ms_ <= 0 ? mean : std::min(mean, calm_ms_ * (1 + kForgottenPerMinute * minutes));
  learned_at_ = at;
  if (mean > kTolerated * calm_ms_ && mean > calm_ms_ + to_ms(kTolerance)) {
    shrink(in_flight, at);
  } else {
    grow(at);
  }
}

void Limiter::refused(int in_flight, TimePoint at) {
  if (settings_.fixed > 0 || at < changed_at_ + kGrowEvery) return;  // several say the same at once
  shrink(in_flight, at);
}

}  // namespace spillway::admit
