#include "attempt/attempt_loop.h"

namespace spillway::attempt {

AttemptLoop::AttemptLoop(const route::Route& route, Deadline deadline, Delivery& delivery, MakeLeg make_leg, Now now)
    : route_(route),
      deadline_(deadline),
      delivery_(delivery),
      make_leg_(std::move(make_leg)),
      now_(std::move(now)),
      states_(route.targets.size()) {}

void AttemptLoop::abort() {
  aborted_ = true;
  if (leg_ != nullptr) leg_->abort();
}

Move AttemptLoop::choose() {
  for (std::size_t i = 0; i < states_.size(); ++i) states_[i].loading = route_.targets[i].backend->loading();
  return next_move(states_, deadline_, now_());
}

Task<AttemptLoop::End> AttemptLoop::run() {
  for (;;) {
    if (aborted_) co_return End::kClientGone;
    const Move move = choose();
    if (move.kind == Move::Kind::kFail) co_return End::kAllFailed;
    if (move.kind == Move::Kind::kDeadline) co_return End::kDeadline;

    const route::Target& target = route_.targets[move.target];
    backend::Backend& backend = *target.backend;
    states_[move.target].asked = true;
    tried_.push_back({&backend, {}, {}});
    const std::unique_ptr<Leg> leg = make_leg_(target);
    leg_ = leg.get();
    Outcome outcome = co_await attempt(*leg);
    leg_ = nullptr;
    // What an upstream says may repeat the key that it was sent.
    if (backend.holds_secret(outcome.detail)) outcome.detail = backend.masked(outcome.detail);
    tried_.back().outcome = std::move(outcome);
    tried_.back().record = leg->record();
    if (on_attempt_end_) on_attempt_end_(backend, tried_.back());

    const Outcome& ended = tried_.back().outcome;
    if (ended.cls == OutcomeClass::kAnswered) co_return End::kAnswered;
    if (aborted_ || (ended.cls == OutcomeClass::kAbandoned && !ended.deadline)) co_return End::kClientGone;
    if (ended.deadline) co_return End::kDeadline;
    if (ended.cls == OutcomeClass::kClient) co_return End::kRefused;
    if (committed_) co_return End::kBroken;
  }
}

Task<Outcome> AttemptLoop::attempt(Leg& leg) {
  Outcome outcome = co_await leg.open();
  if (aborted_) co_return Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  if (outcome.cls == OutcomeClass::kAnswered) {
    answered_by_ = tried_.back().backend;
    committed_ = true;
    outcome = co_await deliver(leg);
    if (outcome.cls == OutcomeClass::kAnswered && !aborted_) co_await leg.finish();
    co_return outcome;
  }
  if (outcome.cls == OutcomeClass::kClient) {
    answered_by_ = tried_.back().backend;
    const Refusal& refusal = outcome.refusal;
    api::ApiError in_band{outcome.status, refusal.code.empty() ? std::string_view("invalid_request") : refusal.code,
                          answered_by_->name() + " refused the request with " + std::to_string(outcome.status) + ": " +
                              answered_by_->masked(outcome.detail)};
    in_band.type = refusal.type;
    if (!refusal.as_it_came) {
      co_await delivery_.fail(in_band);
    } else if (!co_await delivery_.refuse(leg, leg.body(), in_band))
      outcome.cls = OutcomeClass::kAbandoned;
  }
  co_return outcome;
}

Task<Outcome> AttemptLoop::deliver(Leg& leg) {
  for (;;) {
    Pull pull = co_await leg.next();
    if (!pull.bytes.empty() && !co_await delivery_.take(leg, pull.bytes))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    if (!pull.end) continue;
    if (pull.end->cls == OutcomeClass::kAnswered && !co_await delivery_.end(leg))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    co_return std::move(*pull.end);
  }
}

}  // namespace spillway::attempt
