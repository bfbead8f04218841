#include "fleet/governor.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace spillway::fleet {

void Governor::note(double use, Duration time) {
  const double seconds = to_ms(time) / 1'000;
  bank_ = std::clamp(bank_ + (set_point_ - use) * seconds, -kDebt, kBank);
  known_ = std::min(known_ + seconds, kMeanOver);
  if (known_ > 0) mean_ += (use - mean_) * std::min(1.0, seconds / known_);
}

Governor::Caps Governor::caps() const {
  const double full = bank_ / kBank;
  const auto share = [this](double of) { return static_cast<int>(std::ceil(slots_ * std::clamp(of, 0.0, 1.0))); };
  Caps out{};
  out[static_cast<std::size_t>(admit::Priority::kCritical)] = std::numeric_limits<int>::max();
  out[static_cast<std::size_t>(admit::Priority::kHigh)] = share(full + 0.5);
  out[static_cast<std::size_t>(admit::Priority::kNormal)] = share(full);
  out[static_cast<std::size_t>(admit::Priority::kBatch)] = share(2 * full - 1);
  return out;
}

}  // namespace spillway::fleet
