#include "backend/load.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace spillway::backend {

namespace {

constexpr double kWeight = 0.1;  // of the newest in the mean
constexpr double kWidth = 1.1;   // of a bucket's end to its begin

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

void Load::note(Duration first_token, bool whole, TimePoint at) {
  const double ms = std::max(to_ms(first_token), 0.1);
  const std::lock_guard lock(mutex_);
  times_[whole ? 1 : 0].add(ms);
  double& mean = mean_ms_[whole ? 1 : 0];
  mean = mean <= 0 ? ms : mean + kWeight * (ms - mean);
  noted_at_ = at;
}

TimePoint Load::noted_at() const {
  const std::lock_guard lock(mutex_);
  return noted_at_;
}

double Load::expected_ms(TimePoint at) const {
  const std::lock_guard lock(mutex_);
  const double silence = std::max(0.0, to_ms(at - noted_at_));
  return (mean_ms_[0] > 0 ? mean_ms_[0] : mean_ms_[1]) * std::exp2(-silence / to_ms(kHalfLife));
}

std::optional<milliseconds> Load::quantile(double q, bool whole) const {
  const std::lock_guard lock(mutex_);
  return times_[whole ? 1 : 0].quantile(q);
}

}  // namespace spillway::backend
