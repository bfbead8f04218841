#include "backend/load.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/mutex.h"

namespace spillway::backend {

namespace {

constexpr double kMeanWeight = 0.05;  // of the newest in the mean
constexpr double kWidth = 1.1;        // of a bucket's end to its begin

std::size_t bucket_of(double ms, std::size_t buckets) {
  if (ms <= 1) return 0;
  return std::min(buckets - 1, static_cast<std::size_t>(std::ceil(std::log(ms) / std::log(kWidth))));
}

}  // namespace

void Load::Histogram::add(double ms) {
  if (count_ == kGeneration) {
    before_ = std::exchange(now_, {});
    count_before_ = std::exchange(count_, 0);
  }
  ++now_[bucket_of(ms, kBuckets)];
  ++count_;
}

std::optional<milliseconds> Load::Histogram::quantile(double q) const {
  const std::uint32_t count = count_ + count_before_;
  if (count < kLeastTimed) return std::nullopt;
  const auto rank = static_cast<std::uint32_t>(std::ceil(std::clamp(q, 0.0, 1.0) * count));
  std::uint32_t below = 0;
  std::size_t at = 0;
  for (; at + 1 < kBuckets; ++at) {
    below += now_[at] + before_[at];
    if (below >= rank) break;
  }
  return milliseconds(static_cast<std::int64_t>(std::ceil(std::pow(kWidth, static_cast<double>(at)))));
}

void Load::begin(TimePoint at) {
  in_flight_.fetch_add(1, std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  ++pending_;
  if (began_at_ != TimePoint{}) {
    const double gap = std::max(to_ms(at - began_at_), 0.01);
    gap_ms_ = gap_ms_ <= 0 ? gap : gap_ms_ + kMeanWeight * (gap - gap_ms_);
  }
  began_at_ = at;
}

void Load::first_token_came() {
  const MutexLock lock(mutex_);
  --pending_;
}

void Load::end(bool silent) {
  in_flight_.fetch_sub(1, std::memory_order_relaxed);
  if (silent) first_token_came();
}

void Load::note(Duration first_token, bool whole, TimePoint at) {
  const double ms = std::max(to_ms(first_token), 0.1);
  const MutexLock lock(mutex_);
  times_[whole ? 1 : 0].add(ms);
  double& mean = mean_ms_[whole ? 1 : 0];
  mean = mean <= 0 ? ms : mean + kMeanWeight * (ms - mean);
  noted_at_ = at;
}

TimePoint Load::noted_at() const {
  const MutexLock lock(mutex_);
  return noted_at_;
}

double Load::expected_ms(TimePoint at) const {
  const MutexLock lock(mutex_);
  const double mean = mean_ms_[0] > 0 ? mean_ms_[0] : mean_ms_[1];
  if (pending_ >= kManyWait) {
    // While nobody comes any more the rate falls.
    const double by_little = pending_ * std::max(gap_ms_, to_ms(at - began_at_) / kManyWait);
    if (by_little > kMuchMore * mean) return by_little;
  }
  if (in_flight() > 0) return mean;
  const double silence = std::max(0.0, to_ms(at - noted_at_));
  return mean * std::exp2(-silence / to_ms(kHalfLife));
}

std::optional<milliseconds> Load::quantile(double q, bool whole) const {
  const MutexLock lock(mutex_);
  return times_[whole ? 1 : 0].quantile(q);
}

}  // namespace spillway::backend
