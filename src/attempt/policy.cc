#include "attempt/policy.h"

#include <algorithm>

namespace spillway::attempt {

namespace {

// Passing trouble of a server that is there. A time limit that has passed is no reason to wait as long once more.
bool may_pass(OutcomeClass cls) {
  return cls == OutcomeClass::kOverload || cls == OutcomeClass::kServer || cls == OutcomeClass::kCut ||
         cls == OutcomeClass::kEmpty;
}

}  // namespace

Move next_move(std::span<const TargetState> targets, milliseconds most_wait, Deadline deadline, TimePoint at) {
  const TimePoint wait_until = std::min(at + most_wait, deadline.at());
  Move move;
  int best = 5;
  for (std::size_t i = 0; i < targets.size() && best > 0; ++i) {
    const TargetState& target = targets[i];
    if (target.again && *target.again < deadline.at()) {
      move = {Move::Kind::kAsk, i, *target.again};
      break;
    }
    if (target.asked) continue;
    const bool rests = target.not_before > at && target.not_before > wait_until;
    const int rank = rests ? 4 : target.spared ? 3 : target.loading ? 2 : target.full ? 1 : 0;
    if (rank >= best) continue;
    best = rank;
    move = {Move::Kind::kAsk, i, rests ? at : std::max(at, target.not_before)};
  }
  if (move.kind == Move::Kind::kAsk && deadline.passed(at)) move.kind = Move::Kind::kDeadline;
  return move;
}

std::optional<milliseconds> pause_before_retry(const Outcome& outcome, int tries, const RetryLimits& limits,
                                               double random) {
  if (const std::optional<milliseconds>& asked = outcome.refusal.retry_after) {
    if (*asked <= limits.most_wait && limits.most_wait > milliseconds(0) && tries <= kMostWaits) return asked;
    return std::nullopt;
  }
  if (!may_pass(outcome.cls) || tries > limits.retries) return std::nullopt;
  const milliseconds most = std::min(kLongestBackoff, kBackoff * (1 << std::min(tries - 1, 10)));
  return milliseconds(static_cast<std::int64_t>(random * static_cast<double>(most.count())));
}

}  // namespace spillway::attempt
