#include "fleet/hang_watch.h"

#include <fmt/format.h>

namespace spillway::fleet {

void HangWatch::begin(TimePoint now, Duration processor_time) {
  well_at_ = worked_at_ = now;
  worked_ = processor_time;
  asks_ = 0;
  asked_since_ = TimePoint::max();
  asking_ = false;
}

HangWatch::Step HangWatch::look(const Look& look, TimePoint now) {
  const double share = now > worked_at_ ? to_ms(look.processor_time - worked_) / to_ms(now - worked_at_) : 0;
  if (share >= kIdleShare) {
    worked_at_ = now;
    worked_ = look.processor_time;
    asked_since_ = TimePoint::max();
    return Step::kNone;
  }
  if (asked_since_ == TimePoint::max() && look.asked) asked_since_ = now;
  if (timeout_.count() == 0 || asking_ || asked_since_ == TimePoint::max() || now - asked_since_ < timeout_)
    return Step::kNone;
  asking_ = true;
  return Step::kAskCompletion;
}

HangWatch::Step HangWatch::health(bool well, TimePoint now) {
  if (well) {
    well_at_ = now;
    asks_ = 0;
    return Step::kNone;
  }
  ++asks_;
  if (timeout_.count() == 0 || asks_ < kLeastAsks || now - well_at_ < timeout_) return Step::kNone;
  why_ = fmt::format("it hangs: it has not answered to questions for its health for {:.1f} s",
                     to_ms(now - well_at_) / 1000);
  return Step::kHung;
}

HangWatch::Step HangWatch::completion(bool answered, TimePoint now) {
  if (!asking_) return Step::kNone;
  asking_ = false;
  if (answered || asked_since_ == TimePoint::max() || now - asked_since_ < timeout_) {
    asked_since_ = TimePoint::max();
    return Step::kNone;
  }
  why_ = fmt::format("it hangs: it got requests and has done nothing for {:.1f} s", to_ms(now - asked_since_) / 1000);
  return Step::kHung;
}

}  // namespace spillway::fleet
