#include "attempt/attempt_loop.h"

#include <algorithm>

#include "base/ids.h"
#include "base/json_text.h"

namespace spillway::attempt {

namespace {

constexpr std::size_t kAnchor = 40;  // characters that a Backend is asked to repeat (form ask)

}  // namespace

AttemptLoop::AttemptLoop(const route::Route& route, Deadline deadline, Delivery& delivery, Resumable resumable,
                         MakeLeg make_leg, Now now, WakeAt wake_at)
    : route_(route),
      deadline_(deadline),
      delivery_(delivery),
      resumable_(std::move(resumable)),
      make_leg_(std::move(make_leg)),
      now_(std::move(now)),
      wake_at_(std::move(wake_at)),
      states_(route.targets.size()),
      tries_(route.targets.size()),
      judged_(route.targets.size()) {}

void AttemptLoop::abort() {
  aborted_ = true;
  if (leg_ != nullptr) {
    leg_->abort();
  } else if (pausing_) {
    wake_.notify();
  }
}

Move AttemptLoop::choose() {
  for (std::size_t i = 0; i < states_.size(); ++i) {
    states_[i].loading = route_.targets[i].backend->loading();
    states_[i].not_before = route_.targets[i].backend->condition().rests_until();
  }
  for (;;) {
    const Move move = next_move(states_, route_.settings.retry_after_wait, deadline_, now_());
    if (move.kind != Move::Kind::kAsk || states_.size() == 1) return move;
    // Only whoever would be asked now is judged: a probe that nobody makes proves nothing.
    if (judged_[move.target]) return move;
    judged_[move.target] = true;
    backend::Breaker* const breaker = route_.targets[move.target].breaker;
    if (breaker == nullptr || breaker->admit(now_())) return move;
    states_[move.target].spared = true;
  }
}

Task<> AttemptLoop::pause(TimePoint until) {
  if (until <= now_()) co_return;
  pausing_ = true;
  wake_at_(until);
  co_await wake_.wait();
  pausing_ = false;
}

// Whether the Target that was asked last is asked once more.
void AttemptLoop::decide_on_retry(std::size_t target) {
  states_[target].again.reset();
  if (sent_) return;  // another one goes on with what has begun
  const backend::Breaker* const breaker = route_.targets[target].breaker;
  if (breaker != nullptr && breaker->share() < 1 && states_.size() > 1) return;  // it is spared
  constexpr double kRange = 18446744073709551616.0;                              // 2^64
  const auto pause = pause_before_retry(tried_.back().outcome, tries_[target],
                                        {route_.settings.retries, route_.settings.retry_after_wait},
                                        static_cast<double>(random_u64()) / kRange);
  if (!pause || !route_.targets[target].backend->condition().retry_budget().take()) return;
  states_[target].again = now_() + *pause;
}

Task<AttemptLoop::End> AttemptLoop::run() {
  for (;;) {
    if (aborted_) co_return End::kClientGone;
    const Move move = choose();
    if (move.kind == Move::Kind::kDeadline) co_return End::kDeadline;
    if (move.kind == Move::Kind::kFail) {
      if (!delivery_.shown()) {
        answered_by_ = nullptr;
        co_return End::kAllFailed;
      }
      if (why_not_.empty()) why_not_ = "no other Target could go on";
      co_return End::kBroken;
    }
    co_await pause(move.at);
    if (aborted_) co_return End::kClientGone;
    states_[move.target].asked = true;
    const route::Target& target = route_.targets[move.target];
    if (++tries_[move.target] == 1) target.backend->condition().retry_budget().earn();
    const std::optional<End> end = sent_ && goes_on_at(target) ? co_await resume_at(target) : co_await ask(target);
    if (end) co_return *end;
    decide_on_retry(move.target);
    // Only one other Target is asked whether it holds more.
    if (too_long_ && too_long_->backend != target.backend.get() && !states_[move.target].again && !delivery_.shown())
      co_return co_await refuse(*too_long_->leg, too_long_->outcome, *too_long_->backend);
  }
}

Task<std::optional<AttemptLoop::End>> AttemptLoop::ask(const route::Target& target) {
  sent_.reset();
  calls_live_ = false;
  delivery_.forget();
  began(target);
  std::unique_ptr<Leg> leg = make_leg_(target, nullptr);
  leg_ = leg.get();
  Outcome outcome = co_await attempt(target, *leg);
  leg_ = nullptr;
  ended(target, std::move(outcome), *leg);
  const Outcome& last = tried_.back().outcome;
  if (const std::optional<End> end = end_of(last)) co_return end;
  if (last.cls == OutcomeClass::kContext && !too_long_ && another_may_hold_it()) {
    too_long_ = TooLong{std::move(leg), last, target.backend.get()};
    co_return std::nullopt;
  }
  if (last.cls == OutcomeClass::kClient || last.cls == OutcomeClass::kContext)
    co_return co_await refuse(*leg, last, *target.backend);
  if (!has_begun_) co_return std::nullopt;
  note_break(last, *leg);
  co_return end_of_break();
}

// What has not reached the client may as well be asked for anew: where there is no text to go on from, and where the
// Backend cannot stream.
bool AttemptLoop::goes_on_at(const route::Target& target) const {
  if (delivery_.shown()) return true;
  return why_not_.empty() && !sent_->text.empty() && !resumable_.from_scratch &&
         target.backend->settings().aggregate != "off";
}

std::optional<AttemptLoop::End> AttemptLoop::end_of_break() const {
  if (delivery_.shown() && !why_not_.empty()) return End::kBroken;
  return std::nullopt;
}

std::optional<AttemptLoop::End> AttemptLoop::end_of(const Outcome& outcome) const {
  if (outcome.cls == OutcomeClass::kAnswered) return End::kAnswered;
  if (aborted_ || (outcome.cls == OutcomeClass::kAbandoned && !outcome.deadline)) return End::kClientGone;
  if (outcome.deadline) return End::kDeadline;
  return std::nullopt;
}

void AttemptLoop::began(const route::Target& target) {
  held_.clear();
  has_begun_ = false;
  tried_.push_back({target.backend.get(), {}, {}, false, {}});
}

void AttemptLoop::ended(const route::Target& target, Outcome outcome, const Leg& leg) {
  backend::Backend& backend = *target.backend;
  // What an upstream says may repeat the key that it was sent.
  if (backend.holds_secret(outcome.detail)) outcome.detail = backend.masked(outcome.detail);
  if (outcome.refusal.retry_after && blame(outcome.cls) == Blame::kBackend)
    backend.condition().rest_until(now_() + *outcome.refusal.retry_after);
  const Blame at_fault = blame(outcome.cls);
  if (target.breaker != nullptr && (at_fault == Blame::kBackend || at_fault == Blame::kOperator))
    note_change(target.breaker->failed(now_()));
  tried_.back().outcome = std::move(outcome);
  tried_.back().record = leg.record();
  if (on_attempt_end_) on_attempt_end_(backend, tried_.back());
}

// The first token of `leg` has come.
void AttemptLoop::answered(const route::Target& target, const Leg& leg) {
  if (target.breaker == nullptr) return;
  note_change(target.breaker->answered(
      std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(leg.first_token_ms())), now_()));
}

void AttemptLoop::note_change(const backend::Breaker::Change& change) {
  if (change.kind != backend::Breaker::Change::Kind::kNone) tried_.back().change = change;
}

void AttemptLoop::note_break(const Outcome& outcome, const Leg& leg) {
  sent_ = Sent{leg.facts(), leg.facts().text, leg.facts().tokens, {}};
  sent_->broke_by = outcome.cls == OutcomeClass::kStall ? "idle_timeout" : to_word(outcome.cls);
  why_not_ = resumable_.why_not;
  if (!why_not_.empty()) return;
  if (!route_.settings.resume) {
    why_not_ = "the Route says resume = false";
  } else if (!resumable_after_commit(outcome.cls)) {
    why_not_ = "it ended in a way that cannot be continued";
  } else if (leg.facts().opaque) {
    why_not_ = "more than text was sent: an image or a second choice";
  } else if (calls_live_) {
    why_not_ = "a tool call was sent as it came";
  }
}

// In the order of what is surest: from a little before the end of what was sent, so that what is said again proves that
// the answer goes on; from its very end; from scratch.
Task<std::optional<AttemptLoop::End>> AttemptLoop::resume_at(const route::Target& target) {
  using api::openai::ResumeForm;
  using api::openai::Resumption;
  backend::Backend& backend = *target.backend;
  const std::vector<ResumeForm> forms = backend.resume_forms(resumable_.model, now_());
  if (std::ranges::count(forms, ResumeForm::kNone) > 0 && delivery_.shown()) co_return std::nullopt;
  const std::string sent = sent_->text;
  bool in_vain = false;  // it does not look at a part of an answer, or folds its white space
  said_.clear();
  std::vector<ResumeForm> refused;
  for (const Try& next : resume_tries(forms, sent)) {
    const bool is_part = next.form != ResumeForm::kReplay && next.form != ResumeForm::kAsk;
    if (is_part && (in_vain || std::ranges::count(refused, next.form) > 0)) continue;
    Resumption resumption{next.form, sent.substr(0, next.prefix), sent_->tokens, {}};
    if (next.form == ResumeForm::kAsk) resumption.anchor = last_characters(sent, kAnchor);
    Outcome outcome = co_await resume_by(target, std::move(resumption), sent.substr(next.prefix));
    if (const std::optional<End> end = end_of(outcome)) co_return end;
    if (!why_not_.empty()) co_return end_of_break();
    if (sent_->text.size() > sent.size()) co_return std::nullopt;  // it went on, and broke in its turn
    if (outcome.cls == OutcomeClass::kClient) {
      refused.push_back(next.form);
    } else if (outcome.cls != OutcomeClass::kMismatch) {
      co_return std::nullopt;  // it failed as any Attempt may
    }
    in_vain |=
        is_part && outcome.cls == OutcomeClass::kMismatch && alike_but_for_white_space(said_, sent.substr(next.prefix));
    in_vain |= is_part && outcome.cls == OutcomeClass::kMismatch && (next.prefix == sent.size() || !delivery_.shown());
    if (outcome.cls == OutcomeClass::kClient || next.prefix == sent.size())
      backend.condition().resume_memory().failed(resumable_.model, next.form, now_());
    if (deadline_.passed(now_())) co_return End::kDeadline;
  }
  if (delivery_.shown()) co_return std::nullopt;
  co_return co_await ask(target);
}

std::vector<AttemptLoop::Try> AttemptLoop::resume_tries(std::span<const api::openai::ResumeForm> forms,
                                                        const std::string& sent) const {
  using api::openai::ResumeForm;
  std::vector<Try> tries;
  const bool shown = delivery_.shown();
  const bool may_be_told = !resumable_.from_scratch && !sent.empty();
  for (const ResumeForm form : forms) {
    if (form == ResumeForm::kReplay || form == ResumeForm::kNone || !may_be_told) continue;
    if (form == ResumeForm::kAsk) {
      if (shown && count_characters(sent) >= kLeastOverlap) tries.push_back({form, sent.size()});
      continue;
    }
    const std::size_t safe = safe_prefix(sent);
    if (safe == 0) continue;
    if (safe != std::string::npos) tries.push_back({form, safe});
    // Not proved by anything, so only where nothing else is left: what nobody has seen may as well be asked for anew.
    if (shown) tries.push_back({form, sent.size()});
  }
  if (shown) tries.push_back({ResumeForm::kReplay, 0});
  return tries;
}

Task<Outcome> AttemptLoop::resume_by(const route::Target& target, api::openai::Resumption resumption,
                                     std::string overlap) {
  began(target);
  const std::unique_ptr<Leg> leg = make_leg_(target, &resumption);
  leg_ = leg.get();
  Outcome outcome = co_await leg->open();
  if (aborted_) outcome = Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  // A refused prefix is the Backend's way to say that it cannot continue, never the client's fault.
  if (outcome.cls == OutcomeClass::kAnswered) {
    answered(target, *leg);
    Splice splice = resumption.form == api::openai::ResumeForm::kAsk
                        ? Splice::behind(resumption.anchor)
                        : Splice(resumption.prefix, std::move(overlap), std::exchange(said_, {}));
    Continuation continuation(sent_->first, std::move(splice), sent_->tokens);
    outcome = co_await deliver_rest(*leg, continuation);
    sent_->text += continuation.passed();
    if (outcome.cls == OutcomeClass::kMismatch) said_ = continuation.said();
    if (continuation.opaque()) why_not_ = "more than text was sent: an image or a second choice";
    if (calls_live_) why_not_ = "a tool call was sent as it came";
    if (outcome.cls == OutcomeClass::kAnswered && !aborted_) co_await leg->finish();
  }
  leg_ = nullptr;
  if (outcome.cls == OutcomeClass::kStall || outcome.cls == OutcomeClass::kSlow || outcome.cls == OutcomeClass::kCut)
    sent_->broke_by = outcome.cls == OutcomeClass::kStall ? "idle_timeout" : to_word(outcome.cls);
  sent_->tokens += leg->facts().tokens;
  ended(target, outcome, *leg);
  co_return outcome;
}

Task<Outcome> AttemptLoop::deliver_rest(Leg& leg, Continuation& continuation) {
  const Outcome gone{OutcomeClass::kAbandoned, leg.status(), "the client left"};
  bool noted = false;
  for (;;) {
    Pull pull = co_await leg.next();
    Continuation::Step step = continuation.feed(pull.bytes);
    const bool whole = pull.end && pull.end->cls == OutcomeClass::kAnswered;
    if (whole && !step.mismatch) {
      Continuation::Step last = continuation.end();
      step.mismatch = last.mismatch;
      step.events += last.events;
    }
    if (step.mismatch) {
      co_return Outcome{OutcomeClass::kMismatch, leg.status(), "what it said does not go on from what was sent"};
    }
    step.events += let_pass(step.calls, pull);
    if (!step.events.empty() && !std::exchange(noted, true)) {
      tried_.back().resumed = true;
      std::string note = "{\"event\":\"resume\",\"backend\":";
      json::append_string(note, tried_.back().backend->name());
      note += ",\"at_chars\":" + std::to_string(count_characters(sent_->text)) + ",\"reason\":";
      json::append_string(note, sent_->broke_by);
      if (!co_await delivery_.note(note + "}")) co_return gone;
    }
    if (!step.events.empty() && !co_await delivery_.take(leg, step.events)) co_return gone;
    if (!pull.end) continue;
    if (whole && !co_await delivery_.end(continuation.facts())) co_return gone;
    co_return *pull.end;
  }
}

Task<Outcome> AttemptLoop::attempt(const route::Target& target, Leg& leg) {
  Outcome outcome = co_await leg.open();
  if (aborted_) co_return Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  if (outcome.cls == OutcomeClass::kAnswered) {
    answered_by_ = tried_.back().backend;
    has_begun_ = true;
    answered(target, leg);
    outcome = co_await deliver(leg);
    if (outcome.cls == OutcomeClass::kAnswered && !aborted_) co_await leg.finish();
    co_return outcome;
  }
  co_return outcome;
}

// The request itself is at fault: the client is told what `leg` says, and no other Target is asked.
Task<AttemptLoop::End> AttemptLoop::refuse(Leg& leg, const Outcome& outcome, const backend::Backend& backend) {
  answered_by_ = &backend;
  const Refusal& refusal = outcome.refusal;
  api::ApiError in_band{
      outcome.status, refusal.code.empty() ? std::string_view("invalid_request") : refusal.code,
      backend.name() + " refused the request with " + std::to_string(outcome.status) + ": " + outcome.detail};
  in_band.type = refusal.type;
  if (!refusal.as_it_came) {
    co_await delivery_.fail(in_band);
  } else if (!co_await delivery_.refuse(leg, leg.body(), in_band)) {
    co_return End::kClientGone;
  }
  co_return End::kRefused;
}

bool AttemptLoop::another_may_hold_it() const {
  return std::ranges::any_of(states_, [](const TargetState& state) { return !state.asked; });
}

// What of `bytes`, which came with `pull`, goes on now: from the first tool call on nothing does until the answer is
// finished. Valid until the next call.
std::string_view AttemptLoop::let_pass(std::string_view bytes, const Pull& pull) {
  if (!resumable_.calls_whole || calls_live_) {
    calls_live_ |= pull.calls;
    return bytes;
  }
  if (!pull.calls && held_.empty()) return bytes;
  held_ += bytes;
  const bool whole = pull.end && pull.end->cls == OutcomeClass::kAnswered;
  if (pull.calls && !whole && held_.size() <= kMostHeld) {
    delivery_.hold();
    return {};
  }
  calls_live_ |= pull.calls;
  let_pass_ = std::exchange(held_, {});
  return let_pass_;
}

Task<Outcome> AttemptLoop::deliver(Leg& leg) {
  for (;;) {
    Pull pull = co_await leg.next();
    const std::string_view bytes = let_pass(pull.bytes, pull);
    if (!bytes.empty() && !co_await delivery_.take(leg, bytes))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    if (!pull.end) continue;
    if (pull.end->cls == OutcomeClass::kAnswered && !co_await delivery_.end(leg.facts()))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    co_return *pull.end;
  }
}

}  // namespace spillway::attempt
