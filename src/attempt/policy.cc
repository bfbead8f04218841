#include "attempt/policy.h"

namespace spillway::attempt {

Move next_move(std::span<const TargetState> targets, Deadline deadline, TimePoint at) {
  Move move;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    if (targets[i].asked) continue;
    const bool first = move.kind == Move::Kind::kFail;
    if (first || !targets[i].loading) move = {Move::Kind::kAsk, i};
    if (!targets[i].loading) break;
  }
  if (move.kind == Move::Kind::kAsk && deadline.passed(at)) move.kind = Move::Kind::kDeadline;
  return move;
}

}  // namespace spillway::attempt
