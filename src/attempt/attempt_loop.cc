#include "attempt/attempt_loop.h"

#include <algorithm>
#include <numeric>

#include "base/ids.h"
#include "base/json_text.h"

namespace spillway::attempt {

namespace {

constexpr double kHedgeAt = 0.95;  // of the answers have come by then ("The Tail at Scale", Dean and Barroso, 2013)

double uniform01() {
  constexpr double kRange = 18446744073709551616.0;  // 2^64
  return static_cast<double>(random_u64() >> 1) / (kRange / 2);
}

bool is_white_space(std::string_view text) { return text.find_first_not_of(" \t\r\n") == std::string_view::npos; }

Outcome too_large(const Leg& leg) {
  return {OutcomeClass::kGarbage, leg.status(), "the answer is larger than limits.max_response"};
}

}  // namespace

AttemptLoop::AttemptLoop(const route::Route& route, Deadline deadline, Delivery& delivery, Asked asked,
                         MakeLeg make_leg, Now now, WakeAt wake_at)
    : route_(route),
      deadline_(deadline),
      delivery_(delivery),
      asked_(std::move(asked)),
      make_leg_(std::move(make_leg)),
      now_(std::move(now)),
      wake_at_(std::move(wake_at)) {
  look_up_models();
  put_in_order();
  put_replicas_in_order();
  leave_out_standbys();
  const std::size_t places = order_.empty() ? route.targets.size() : order_.size();
  states_.resize(places);
  tries_.resize(places);
  judged_.resize(places);
}

void AttemptLoop::look_up_models() {
  asked_for_.resize(route_.targets.size());
  if (asked_.model.empty()) return;
  for (std::size_t i = 0; i < route_.targets.size(); ++i) {
    const route::Target& target = route_.targets[i];
    if (target.breaker == nullptr || !target.model_for(asked_.model).empty()) continue;
    AskedFor& made = asked_for_[i].emplace(AskedFor{target, target.backend->condition().figures_of(asked_.model)});
    made.target.breaker = &made.figures->breaker;
    made.target.load = &made.figures->load;
  }
}

// Where the Replicas of a Backend stand side by side, the best for this request first.
void AttemptLoop::put_replicas_in_order() {
  if (route_.groups.empty()) return;
  if (order_.empty()) {
    order_.resize(route_.targets.size());
    std::iota(order_.begin(), order_.end(), 0u);
  }
  computed_.assign(route_.targets.size(), asked_.input_tokens);
  for (const route::ReplicaGroup& group : route_.groups) {
    std::vector<route::ReplicaLoad> loads;
    for (std::size_t i = group.first; i < group.first + group.count; ++i) {
      const route::Target& target = this->target(i);
      backend::Condition& condition = target.backend->condition();
      const bool usable = target.backend->ready() && (target.breaker == nullptr || target.breaker->share() >= 1);
      const bool full = condition.gate().would_wait(asked_.priority, now_()) || too_late(target);
      loads.push_back({static_cast<double>(condition.tokens()), full, usable, held_at(group, i), i - group.first});
    }
    const auto salt = static_cast<std::uint64_t>(uniform01() * 1e18);
    const route::Balanced best = route::balance(loads, chain_for(group), asked_.input_tokens, salt);
    std::ranges::copy(best.computed, computed_.begin() + static_cast<std::ptrdiff_t>(group.first));
    // They take the places that they have among the others, in their own order.
    std::size_t next = 0;
    for (std::uint32_t& at : order_) {
      if (at < group.first || at >= group.first + group.count) continue;
      at = static_cast<std::uint32_t>(group.first) + best.order[next++];
    }
  }
}

// What the request begins with; empty where its Replicas are told apart by load alone.
const route::PrefixChain& AttemptLoop::chain_for(const route::ReplicaGroup& group) const {
  static const route::PrefixChain kNone;
  return group.map != nullptr && asked_.beginning != nullptr ? asked_.beginning->chain() : kNone;
}

// Tokens of the prompt that it need not compute.
double AttemptLoop::held_at(const route::ReplicaGroup& group, std::size_t target) const {
  const route::PrefixChain& chain = chain_for(group);
  if (chain.empty()) return 0;
  backend::Backend& backend = *route_.targets[target].backend;
  const backend::SlotBook& slots = backend.condition().slots();
  if (slots.knows()) return static_cast<double>(slots.held(chain) * route::kPrefixBlockTokens);
  const config::Backend& settings = backend.settings();
  return group.map->held(chain, target - group.first, static_cast<double>(settings.context) * settings.parallel);
}

// Its first token is foreseen behind the time that there is for it: however warm it is, another may be in time.
bool AttemptLoop::too_late(const route::Target& target) const {
  const TimePoint at = now_();
  const Duration queue = target.backend->condition().gate().numbers(at).wait;
  const double expected_ms = to_ms(queue) + (target.load != nullptr ? target.load->expected_ms(at) : 0);
  return expected_ms > to_ms(deadline_.capped(target.timeouts.first_token, at) - at);
}

// A standby that does not run is no Target: asking it would be a failure of nobody's.
void AttemptLoop::leave_out_standbys() {
  if (route_.groups.empty()) return;
  std::erase_if(order_, [this](std::uint32_t target) {
    const backend::Backend& backend = *route_.targets[target].backend;
    return backend.settings().spare && !backend.ready();
  });
}

void AttemptLoop::put_in_order() {
  if (route_.policy == route::ordered || route_.targets.size() < 2) return;
  std::vector<route::Candidate> candidates;
  candidates.reserve(route_.targets.size());
  for (std::size_t i = 0; i < route_.targets.size(); ++i) {
    const route::Target& target = this->target(i);
    route::Candidate candidate;
    if (target.load != nullptr) candidate = {target.load->expected_ms(now_()), target.load->in_flight(), 0, 1, false};
    candidate.first_token_ms *= target.backend->condition().crowding(now_());
    candidate.spared = target.breaker != nullptr && target.breaker->share() < 1;
    candidate.cost = target.price.input * asked_.input_tokens + target.price.output * asked_.output_tokens;
    if (i < route_.settings.targets.size()) candidate.weight = route_.settings.targets[i].weight;
    candidates.push_back(candidate);
  }
  order_ = route_.policy(candidates, uniform01);
}

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
    states_[i].loading = target_at(i).backend->loading();
    // A Route's only Target is waited for.
    backend::Condition& condition = target_at(i).backend->condition();
    states_[i].full =
        states_.size() > 1 && (condition.crowded(now_()) || condition.gate().would_wait(asked_.priority, now_()));
    states_[i].not_before = condition.rests_until();
  }
  for (;;) {
    const Move move = next_move(states_, route_.settings.retry_after_wait, deadline_, now_());
    if (move.kind != Move::Kind::kAsk || states_.size() == 1) return move;
    // Whoever stands before it and is passed over, since it is not loaded, is missed.
    for (std::size_t i = 0; i < move.target; ++i) {
      if (states_[i].loading && !states_[i].asked) target_at(i).backend->condition().note_wanted();
    }
    // Only whoever would be asked now is judged: a probe that nobody makes proves nothing.
    if (judged_[move.target]) return move;
    judged_[move.target] = true;
    backend::Breaker* const breaker = target_at(move.target).breaker;
    if (breaker == nullptr || breaker->admit(now_())) return move;
    states_[move.target].spared = true;
  }
}

Task<> AttemptLoop::pause(TimePoint until) {
  if (until <= now_()) co_return;
  wake_.reset();  // of a race that is over
  pausing_ = true;
  wake_at_(until);
  co_await wake_.wait();
  pausing_ = false;
}

// Whether the Target, which failed with `outcome`, is asked once more.
void AttemptLoop::decide_on_retry(std::size_t place, const Outcome& outcome) {
  states_[place].again.reset();
  if (sent_) return;  // another one goes on with what has begun
  const route::Target& target = target_at(place);
  if (target.breaker != nullptr && target.breaker->share() < 1 && states_.size() > 1) return;  // it is spared
  const auto pause = pause_before_retry(outcome, tries_[place],
                                        {route_.settings.retries, route_.settings.retry_after_wait}, uniform01());
  if (!pause || !target.backend->condition().retry_budget().take()) return;
  states_[place].again = now_() + *pause;
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
    const std::optional<End> end =
        sent_ && goes_on_at(target_at(move.target)) ? co_await resume_at(move.target) : co_await ask(move.target);
    if (end) co_return *end;
    // Only one other Target is asked whether it holds more.
    if (too_long_ && too_long_->backend != tried_[current_].backend && !delivery_.shown() &&
        std::ranges::none_of(states_, [](const TargetState& state) { return state.again.has_value(); }))
      co_return co_await refuse(*too_long_->leg, too_long_->outcome, *too_long_->backend);
  }
}

// A Replica that is asked is going to hold what the request begins with; until it has answered, its tokens are in
// flight.
backend::TokensInFlight AttemptLoop::charge(std::size_t place) {
  if (route_.groups.empty()) return {};
  const std::size_t target = order_.empty() ? place : order_[place];
  for (const route::ReplicaGroup& group : route_.groups) {
    if (group.map != nullptr && target >= group.first && target < group.first + group.count)
      group.map->note(chain_for(group), target - group.first, computed_[target]);
  }
  backend::Backend& backend = *route_.targets[target].backend;
  const auto context = static_cast<double>(backend.settings().context);
  const double answer = context > 0 ? std::min(asked_.output_tokens, context) : asked_.output_tokens;
  return {backend.condition(), computed_[target] + answer};
}

AttemptLoop::Entrant AttemptLoop::enter(std::size_t place) {
  const route::Target& target = target_at(place);
  states_[place].asked = true;
  if (++tries_[place] == 1) {
    target.backend->condition().retry_budget().earn();
    target.backend->condition().hedge_budget().earn();
  }
  const std::size_t index = began(target);
  return {place, make_leg_(target, nullptr), index, {}, charge(place)};
}

Task<std::optional<AttemptLoop::End>> AttemptLoop::ask(std::size_t place) {
  sent_.reset();
  calls_live_ = false;
  delivery_.forget();
  Entrant entrant = enter(place);
  if (const std::optional<Duration> after = hedge_after(entrant)) {
    entrant = co_await race(std::move(entrant), *after);
    leg_ = entrant.leg.get();
  } else {
    leg_ = entrant.leg.get();
    entrant.opened = co_await open_safely(*leg_);
  }
  current_ = entrant.tried;
  const route::Target& target = target_at(entrant.place);
  Leg& leg = *entrant.leg;
  Outcome outcome = std::move(entrant.opened);
  if (aborted_) {
    outcome = Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  } else if (outcome.cls == OutcomeClass::kAnswered) {
    answered_by_ = target.backend.get();
    has_begun_ = true;
    answered(target, leg);
    outcome = co_await deliver(leg);
    if (outcome.cls == OutcomeClass::kAnswered && !aborted_) co_await leg.finish();
  }
  leg_ = nullptr;
  ended(entrant.tried, target, std::move(outcome), leg);
  const Outcome& last = tried_[current_].outcome;
  if (const std::optional<End> end = end_of(last)) co_return end;
  if (last.cls == OutcomeClass::kReplaced && !delivery_.shown()) co_return End::kReplaced;
  if (last.cls == OutcomeClass::kContext && !too_long_ && another_may_hold_it()) {
    too_long_ = TooLong{std::move(entrant.leg), last, target.backend.get()};
    co_return std::nullopt;
  }
  if (last.cls == OutcomeClass::kClient || last.cls == OutcomeClass::kContext)
    co_return co_await refuse(leg, last, *target.backend);
  if (has_begun_) note_break(last, leg);
  decide_on_retry(entrant.place, last);
  if (!has_begun_) co_return std::nullopt;
  co_return co_await end_of_break(leg);
}

// How long `first` has before another Target is asked as well; nothing: that is not done.
std::optional<Duration> AttemptLoop::hedge_after(const Entrant& first) const {
  const std::string& wish = route_.settings.hedge;
  if (wish == "off" || states_.size() < 2 || !asked_.repeatable || delivery_.shown()) return std::nullopt;
  if (route_.hedge_after > milliseconds(0)) return route_.hedge_after;
  const backend::Load* const load = target_at(first.place).load;
  if (load == nullptr) return std::nullopt;
  return load->quantile(kHedgeAt, !first.leg->asks_for_stream());
}

// Another Target that would answer now, where the budget lets one be asked.
std::optional<AttemptLoop::Entrant> AttemptLoop::enter_hedge(std::size_t first) {
  const Move move = choose();
  if (move.kind != Move::Kind::kAsk || move.at > now_()) return std::nullopt;
  const TargetState& state = states_[move.target];
  if (state.asked || state.loading || state.full || state.spared || state.not_before > now_()) return std::nullopt;
  if (!target_at(first).backend->condition().hedge_budget().take()) return std::nullopt;
  Entrant entrant = enter(move.target);
  tried_[entrant.tried].hedge = true;
  return entrant;
}

// The first of the two that has its first token, or finds fault with the request; the other one is stopped. Where both
// fail, the one that failed last.
Task<AttemptLoop::Entrant> AttemptLoop::race(Entrant first, Duration hedge_after) {
  const TimePoint hedge_at = now_() + hedge_after;
  wake_.reset();
  Race race(co_await asio::this_coro::executor, wake_);
  std::vector<Entrant> entrants;
  entrants.reserve(Race::kMost);
  entrants.push_back(std::move(first));
  race.enter(*entrants.front().leg);
  pausing_ = true;
  bool waits = true;  // for the time to hedge
  wake_at_(hedge_at);
  std::size_t winner = 0;
  for (;;) {
    std::size_t failed = 0;
    bool decided = false;
    for (std::size_t i = 0; i < entrants.size() && !decided; ++i) {
      const std::optional<Outcome>& outcome = race.outcome(i);
      if (!outcome) continue;
      winner = i;
      decided = !retryable_before_commit(outcome->cls) || outcome->deadline;
      if (!decided) ++failed;
    }
    if (aborted_ || decided || failed == entrants.size()) break;
    if (waits && now_() >= hedge_at) {
      waits = false;
      if (auto hedge = enter_hedge(entrants.front().place)) {
        entrants.push_back(std::move(*hedge));
        race.enter(*entrants.back().leg);
        continue;
      }
    }
    co_await wake_.wait();
  }
  pausing_ = false;
  for (std::size_t i = 0; i < entrants.size(); ++i) {
    co_await race.stop(i);
    Entrant& entrant = entrants[i];
    entrant.opened = *race.outcome(i);
    if (i == winner) continue;
    if (!retryable_before_commit(entrant.opened.cls)) {
      // It was stopped, or had an answer as well.
      outrun(entrant);
      if (race.outcome(winner)->cls == OutcomeClass::kContext) states_[entrant.place].asked = false;
    } else {
      ended(entrant.tried, target_at(entrant.place), std::move(entrant.opened), *entrant.leg);
      decide_on_retry(entrant.place, tried_[entrant.tried].outcome);
    }
  }
  co_return std::move(entrants[winner]);
}

// Another Leg was faster. What was waited for this one is the least that its time was.
void AttemptLoop::outrun(const Entrant& entrant) {
  const route::Target& target = target_at(entrant.place);
  const Leg::Record record = entrant.leg->record();
  const auto waited = std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(record.total_ms));
  if (!tried_[entrant.tried].hedge && !aborted_) {
    if (target.load != nullptr) target.load->note(waited, !entrant.leg->asks_for_stream(), now_());
    if (target.breaker != nullptr) note_change(entrant.tried, target.breaker->outrun(waited, now_()));
  }
  Outcome outcome{OutcomeClass::kOutrun, 0, "another Target was faster"};
  if (aborted_) outcome = Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  ended(entrant.tried, target, std::move(outcome), *entrant.leg);
}

// What has not reached the client may as well be asked for anew: where there is no text to go on from, and where the
// Backend cannot stream.
bool AttemptLoop::goes_on_at(const route::Target& target) const {
  if (delivery_.shown()) return true;
  return why_not_.empty() && !sent_->text.empty() && !asked_.from_scratch &&
         target.backend->settings().aggregate != "off";
}

// The answer broke in `leg`. Where it has all the tokens that were asked for, only its finish was lost.
Task<std::optional<AttemptLoop::End>> AttemptLoop::end_of_break(const Leg& leg) {
  if (!why_not_.empty()) {
    if (delivery_.shown()) co_return End::kBroken;
    co_return std::nullopt;
  }
  const auto tokens = static_cast<std::int64_t>(sent_->tokens);
  if (asked_.max_tokens <= 0 || tokens < asked_.max_tokens || leg.facts().calls) co_return std::nullopt;
  const std::int64_t input =
      sent_->first.input_tokens > 0 ? sent_->first.input_tokens : static_cast<std::int64_t>(asked_.input_tokens);
  api::Parts parts(2);
  parts[0] = {.kind = api::PartKind::kFinish, .finish = api::Finish::kLength};
  parts[1] = {.kind = api::PartKind::kUsage, .usage = {.input = input, .output = tokens}};
  if (!co_await delivery_.take_parts(leg, sent_->first, parts) || !co_await delivery_.end(leg))
    co_return End::kClientGone;
  co_return End::kAnswered;
}

std::uint64_t AttemptLoop::Sent::tokens_behind(std::size_t at) const {
  return static_cast<std::uint64_t>(token_ends.end() - std::ranges::upper_bound(token_ends, at));
}

std::optional<AttemptLoop::End> AttemptLoop::end_of(const Outcome& outcome) const {
  if (outcome.cls == OutcomeClass::kAnswered) return End::kAnswered;
  if (aborted_ || (outcome.cls == OutcomeClass::kAbandoned && !outcome.deadline)) return End::kClientGone;
  if (outcome.deadline) return End::kDeadline;
  return std::nullopt;
}

std::size_t AttemptLoop::began(const route::Target& target) {
  held_.clear();
  held_parts_.clear();
  has_begun_ = false;
  tried_.push_back({target.backend.get(), {}, {}, false, false, {}});
  return current_ = tried_.size() - 1;
}

void AttemptLoop::ended(std::size_t tried, const route::Target& target, Outcome outcome, const Leg& leg) {
  backend::Backend& backend = *target.backend;
  // What an upstream says may repeat the key that it was sent.
  if (backend.holds_secret(outcome.detail)) outcome.detail = backend.masked(outcome.detail);
  if (outcome.refusal.retry_after && blame(outcome.cls) == Blame::kBackend)
    backend.condition().rest_until(now_() + *outcome.refusal.retry_after);
  const Blame at_fault = blame(outcome.cls);
  if (target.breaker != nullptr && (at_fault == Blame::kBackend || at_fault == Blame::kOperator))
    note_change(tried, target.breaker->failed(now_()));
  if (outcome.cls == OutcomeClass::kRateLimited && !outcome.refusal.retry_after)
    backend.condition().gate().refused(now_());
  tried_[tried].outcome = std::move(outcome);
  tried_[tried].record = leg.record();
  if (on_attempt_end_) on_attempt_end_(backend, tried_[tried]);
}

// The first token of `leg` has come.
void AttemptLoop::answered(const route::Target& target, const Leg& leg) {
  const auto first_token =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(leg.first_token_ms()));
  if (target.load != nullptr) target.load->note(first_token, !leg.streams(), now_());
  if (leg.streams()) target.backend->condition().gate().answered(first_token, now_());
  if (target.breaker != nullptr) note_change(current_, target.breaker->answered(first_token, now_()));
}

void AttemptLoop::note_change(std::size_t tried, const backend::Breaker::Change& change) {
  if (change.kind != backend::Breaker::Change::Kind::kNone) tried_[tried].change = change;
}

void AttemptLoop::note_break(const Outcome& outcome, const Leg& leg) {
  const StreamFacts& facts = leg.facts();
  sent_ = Sent{facts, facts.text, facts.tokens, facts.token_ends, {}};
  if (!calls_live_) sent_->first.take_back_calls();
  sent_->broke_by = outcome.cls == OutcomeClass::kStall ? "idle_timeout" : to_word(outcome.cls);
  why_not_ = asked_.why_not_resumed;
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
Task<std::optional<AttemptLoop::End>> AttemptLoop::resume_at(std::size_t place) {
  using api::ResumeForm;
  using api::Resumption;
  const route::Target& target = target_at(place);
  backend::Backend& backend = *target.backend;
  states_[place].asked = true;
  states_[place].again.reset();
  if (++tries_[place] == 1) backend.condition().retry_budget().earn();
  const std::vector<ResumeForm> forms = backend.resume_forms(asked_.model, now_());
  if (std::ranges::count(forms, ResumeForm::kNone) > 0 && delivery_.shown()) co_return std::nullopt;
  const std::string sent = sent_->text;
  bool in_vain = false;  // it does not look at a part of an answer, or folds its white space
  said_.clear();
  std::vector<ResumeForm> refused;
  for (const Try& next : resume_tries(forms, sent)) {
    const bool is_part = next.form != ResumeForm::kReplay && next.form != ResumeForm::kAsk;
    if (is_part && (in_vain || std::ranges::count(refused, next.form) > 0)) continue;
    const std::size_t again = next.anchor.empty() ? sent.size() - next.prefix : next.anchor.size();
    Resumption resumption{next.form, sent.substr(0, next.prefix), sent_->tokens,
                          sent_->tokens_behind(sent.size() - again), next.anchor};
    const backend::TokensInFlight charged = charge(place);
    std::optional<End> end;
    Outcome outcome = co_await resume_by(target, std::move(resumption), sent.substr(next.prefix), end);
    if (end) co_return end;
    if (sent_->text.size() > sent.size()) co_return std::nullopt;  // it went on, and broke in its turn
    if (outcome.cls == OutcomeClass::kClient) {
      refused.push_back(next.form);
    } else if (outcome.cls != OutcomeClass::kMismatch) {
      co_return std::nullopt;  // it failed as any Attempt may
    }
    in_vain |=
        is_part && outcome.cls == OutcomeClass::kMismatch && alike_but_for_white_space(said_, sent.substr(next.prefix));
    in_vain |= is_part && outcome.cls == OutcomeClass::kMismatch && (!next.proved || !delivery_.shown());
    if (outcome.cls == OutcomeClass::kClient || !next.proved || next.form == ResumeForm::kAsk)
      backend.condition().resume_memory().failed(asked_.model, next.form, now_());
    if (deadline_.passed(now_())) co_return End::kDeadline;
  }
  if (delivery_.shown()) co_return std::nullopt;
  co_return co_await ask(place);
}

std::vector<AttemptLoop::Try> AttemptLoop::resume_tries(std::span<const api::ResumeForm> forms,
                                                        const std::string& sent) const {
  using api::ResumeForm;
  std::vector<Try> tries;
  const bool shown = delivery_.shown();
  const bool may_be_told = !asked_.from_scratch && !sent.empty();
  // Anthropic refuses a message that ends with white space: it has to come again.
  const auto told = [&](ResumeForm form, std::size_t prefix) {
    if (form != ResumeForm::kAssistant) return prefix;
    return sent.find_last_not_of(" \t\r\n", prefix == 0 ? 0 : prefix - 1) + 1;  // npos + 1: nothing is left
  };
  for (const ResumeForm form : forms) {
    if (form == ResumeForm::kReplay || form == ResumeForm::kNone || !may_be_told) continue;
    if (form == ResumeForm::kAsk) {
      const std::string_view anchor = anchor_of(sent);
      if (shown && !anchor.empty()) tries.push_back({form, sent.size(), std::string(anchor), true});
      continue;
    }
    const std::size_t safe = safe_prefix(sent);
    if (safe == 0) continue;
    if (safe != std::string::npos && told(form, safe) > 0) tries.push_back({form, told(form, safe), {}, true});
    // Not proved by anything, so only where nothing else is left: what nobody has seen may as well be asked for anew.
    if (shown && told(form, sent.size()) > 0) tries.push_back({form, told(form, sent.size()), {}, false});
  }
  if (shown) tries.push_back({ResumeForm::kReplay, 0, {}, true});
  return tries;
}

// `end`: of the Exchange, where it is decided with this.
Task<Outcome> AttemptLoop::resume_by(const route::Target& target, api::Resumption resumption, std::string overlap,
                                     std::optional<End>& end) {
  const std::size_t index = began(target);
  const std::unique_ptr<Leg> leg = make_leg_(target, &resumption);
  leg_ = leg.get();
  Outcome outcome = co_await open_safely(*leg);
  if (aborted_) outcome = Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  // A refused prefix is the Backend's way to say that it cannot continue, never the client's fault.
  if (outcome.cls == OutcomeClass::kAnswered) {
    answered(target, *leg);
    const bool unproved = resumption.form != api::ResumeForm::kReplay && is_white_space(overlap);
    Splice splice = resumption.form == api::ResumeForm::kAsk ? Splice::behind(resumption.anchor)
                    : unproved && target.backend->is_local()
                        ? Splice::exact(std::move(overlap))
                        : Splice(resumption.prefix, std::move(overlap), std::exchange(said_, {}));
    Continuation continuation(leg->format(), std::move(splice), sent_->tokens,
                              sent_->tokens - sent_->tokens_behind(resumption.prefix.size()));
    outcome = co_await deliver_rest(*leg, continuation);
    continuation.add_tokens(sent_->text.size(), sent_->tokens, sent_->token_ends);
    sent_->text += continuation.passed();
    if (outcome.cls == OutcomeClass::kMismatch) said_ = continuation.said();
    if (continuation.opaque()) why_not_ = "more than text was sent: an image or a second choice";
    if (calls_live_) why_not_ = "a tool call was sent as it came";
    if (outcome.cls == OutcomeClass::kAnswered && !aborted_) co_await leg->finish();
  }
  leg_ = nullptr;
  if (outcome.cls == OutcomeClass::kStall || outcome.cls == OutcomeClass::kSlow || outcome.cls == OutcomeClass::kCut)
    sent_->broke_by = outcome.cls == OutcomeClass::kStall ? "idle_timeout" : to_word(outcome.cls);
  ended(index, target, outcome, *leg);
  end = end_of(outcome);
  const bool broke = outcome.cls != OutcomeClass::kMismatch && outcome.cls != OutcomeClass::kClient;
  if (!end && (broke || !why_not_.empty())) end = co_await end_of_break(*leg);
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
      std::ranges::move(last.parts, std::back_inserter(step.parts));
    }
    if (step.mismatch) {
      co_return Outcome{OutcomeClass::kMismatch, leg.status(), "what it said does not go on from what was sent"};
    }
    std::ranges::move(step.calls, std::back_inserter(held_parts_));
    if (!holds(pull, held_parts_.size() * sizeof(api::Part))) {
      calls_live_ |= pull.calls;
      std::ranges::move(held_parts_, std::back_inserter(step.parts));
      held_parts_.clear();
    } else if (!held_parts_.empty()) {
      delivery_.hold();
    }
    if (!step.parts.empty() && !std::exchange(noted, true)) {
      tried_[current_].resumed = true;
      std::string note = "{\"event\":\"resume\",\"backend\":";
      json::append_string(note, tried_[current_].backend->name());
      note += ",\"at_chars\":" + std::to_string(count_characters(sent_->text)) + ",\"reason\":";
      json::append_string(note, sent_->broke_by);
      if (!co_await delivery_.note(note + "}")) co_return gone;
    }
    if (!step.parts.empty() && !co_await delivery_.take_parts(leg, sent_->first, step.parts)) co_return gone;
    if (delivery_.full()) co_return too_large(leg);
    if (!pull.end) continue;
    if (whole && !co_await delivery_.end(leg)) co_return gone;
    co_return *pull.end;
  }
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

// Whether what came with `pull` is held: from the first tool call on nothing goes on until the answer is finished.
bool AttemptLoop::holds(const Pull& pull, std::size_t held) const {
  const bool whole = pull.end && pull.end->cls == OutcomeClass::kAnswered;
  return asked_.calls_whole && !calls_live_ && pull.calls && !whole && held <= kMostHeld;
}

// What of `bytes`, which came with `pull`, goes on now. Valid until the next call.
std::string_view AttemptLoop::let_pass(std::string_view bytes, const Pull& pull) {
  if (!pull.calls && held_.empty()) return bytes;
  if (holds(pull, held_.size() + bytes.size())) {
    held_ += bytes;
    delivery_.hold();
    return {};
  }
  calls_live_ |= pull.calls;
  if (held_.empty()) return bytes;
  held_ += bytes;
  let_pass_ = std::exchange(held_, {});
  return let_pass_;
}

Task<Outcome> AttemptLoop::deliver(Leg& leg) {
  for (;;) {
    Pull pull = co_await leg.next();
    const std::string_view bytes = let_pass(pull.bytes, pull);
    if (!bytes.empty() && !co_await delivery_.take(leg, bytes))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    if (delivery_.full()) co_return too_large(leg);
    if (!pull.end) continue;
    if (pull.end->cls == OutcomeClass::kAnswered && !co_await delivery_.end(leg))
      co_return Outcome{OutcomeClass::kAbandoned, leg.status(), "the client left"};
    co_return *pull.end;
  }
}

}  // namespace spillway::attempt
