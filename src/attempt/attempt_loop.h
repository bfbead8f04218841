// Asking the Targets of a Route until one has answered.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "admit/priority.h"
#include "api/resumption.h"
#include "attempt/continuation.h"
#include "attempt/delivery.h"
#include "attempt/leg.h"
#include "attempt/policy.h"
#include "attempt/race.h"
#include "base/event.h"
#include "route/route_table.h"

namespace spillway::attempt {

// Carries out what next_move() says: opens a Leg, hands what it gives to the Delivery, and notes how it ended. Knows
// neither sockets nor the clock: a test gives it scripted Legs and a time of its own. One thread; run() once.
class AttemptLoop {
 public:
  // `resumption`: null for an answer from the beginning; lives as long as the Leg.
  using MakeLeg = std::function<std::unique_ptr<Leg>(const route::Target& target, const api::Resumption* resumption)>;
  using Now = std::function<TimePoint()>;
  using WakeAt = std::function<void(TimePoint)>;  // calls wake() then

  // What the loop has to know of the request.
  struct Asked {
    std::string why_not_resumed;  // an answer that breaks may not be continued; empty: it may
    bool from_scratch = false;    // only by asking again: a schema or a grammar binds the answer
    std::string model;            // as the client names it: what was found out about continuing holds for it
    bool calls_whole = true;      // tool calls are held until the answer is finished, so that a cut before it is mended
    admit::Priority priority = admit::Priority::kNormal;
    bool repeatable = true;                       // two Backends may work on it at once
    double input_tokens = 0;                      // about so many it asks with
    double output_tokens = 0;                     // and for
    std::int64_t max_tokens = -1;                 // no more than so many are wanted; -1: no limit
    const route::Beginning* beginning = nullptr;  // of the messages; null: not known
  };
  AttemptLoop(const route::Route& route, Deadline deadline, Delivery& delivery, Asked asked, MakeLeg make_leg, Now now,
              WakeAt wake_at);

  enum class End {
    kAnswered,  // the client has the whole answer
    kRefused,   // the last Target found fault with the request itself, and the client was told
    kClientGone,
    kDeadline,   // it passed; the client was told nothing
    kBroken,     // the answer broke after its first token, and nobody could go on; the client was not told that
    kAllFailed,  // the client was told nothing
    kReplaced,   // a reload has taken away a Target that was waited for; the client was told nothing
  };
  Task<End> run();

  void wake() { wake_.notify(); }

  // The client left: ends what is under way, at once.
  void abort();

  // The Attempts, in their order.
  struct Tried {
    const backend::Backend* backend = nullptr;
    Outcome outcome;
    Leg::Record record;
    bool resumed = false;             // the client got from it what another Attempt had left out
    bool hedge = false;               // begun while another one was under way
    backend::Breaker::Change change;  // what it made of its Backend's Breaker
  };
  [[nodiscard]] const std::vector<Tried>& tried() const { return tried_; }
  // The one that was heard last; null: there was none.
  [[nodiscard]] const Tried* last() const { return tried_.empty() ? nullptr : &tried_[current_]; }
  // Whose answer or refusal the client has; null: nobody's yet.
  [[nodiscard]] const backend::Backend* answered_by() const { return answered_by_; }

  // After kBroken.
  [[nodiscard]] const std::string& why_not_resumed() const { return why_not_; }

  // Called when an Attempt has ended, with the last of tried().
  void on_attempt_end(std::function<void(backend::Backend&, const Tried&)> callback) {
    on_attempt_end_ = std::move(callback);
  }

 private:
  // What the client has of an answer that broke.
  struct Sent {
    StreamFacts first;  // of its first stream
    std::string text;
    std::uint64_t tokens = 0;
    std::vector<std::uint32_t> token_ends;  // as those of StreamFacts
    std::string_view broke_by;              // for the client: why

    // Tokens of the text from `at` on.
    [[nodiscard]] std::uint64_t tokens_behind(std::size_t at) const;
  };

  static constexpr std::size_t kMostHeld = 4u << 20;  // bytes; more goes live

  // A Leg that was asked.
  struct Entrant {
    std::size_t place;  // of its Target, in the order of this Exchange
    std::unique_ptr<Leg> leg;
    std::size_t tried = 0;  // its index there
    Outcome opened;
    backend::TokensInFlight tokens = {};
  };

  // One of the Route's, with what is known of the model that it will be asked for.
  [[nodiscard]] const route::Target& target(std::size_t index) const {
    return asked_for_[index] ? asked_for_[index]->target : route_.targets[index];
  }
  [[nodiscard]] const route::Target& target_at(std::size_t place) const {
    return target(order_.empty() ? place : order_[place]);
  }
  void look_up_models();
  void put_in_order();
  void put_replicas_in_order();
  [[nodiscard]] const route::PrefixChain& chain_for(const route::ReplicaGroup& group) const;
  [[nodiscard]] double held_at(const route::ReplicaGroup& group, std::size_t target) const;
  [[nodiscard]] bool too_late(const route::Target& target) const;
  void leave_out_standbys();
  backend::TokensInFlight charge(std::size_t place);
  [[nodiscard]] Move choose();
  Task<> pause(TimePoint until);
  void decide_on_retry(std::size_t place, const Outcome& outcome);
  Task<std::optional<End>> ask(std::size_t place);
  Entrant enter(std::size_t place);
  [[nodiscard]] std::optional<Duration> hedge_after(const Entrant& first) const;
  std::optional<Entrant> enter_hedge(std::size_t first);
  Task<Entrant> race(Entrant first, Duration hedge_after);
  void outrun(const Entrant& entrant);
  Task<End> refuse(Leg& leg, const Outcome& outcome, const backend::Backend& backend);
  [[nodiscard]] bool another_may_hold_it() const;
  Task<std::optional<End>> resume_at(std::size_t place);
  struct Try {
    api::ResumeForm form;
    std::size_t prefix;   // bytes of what was sent that it is told
    std::string anchor;   // that it is to say again; otherwise what was sent behind the prefix
    bool proved = false;  // by what it says again
  };
  [[nodiscard]] std::vector<Try> resume_tries(std::span<const api::ResumeForm> forms, const std::string& sent) const;
  Task<Outcome> resume_by(const route::Target& target, api::Resumption resumption, std::string overlap,
                          std::optional<End>& end);
  void answered(const route::Target& target, const Leg& leg);
  void note_change(std::size_t tried, const backend::Breaker::Change& change);
  Task<Outcome> deliver(Leg& leg);
  Task<Outcome> deliver_rest(Leg& leg, Continuation& continuation);
  std::size_t began(const route::Target& target);
  void ended(std::size_t tried, const route::Target& target, Outcome outcome, const Leg& leg);
  [[nodiscard]] std::optional<End> end_of(const Outcome& outcome) const;
  [[nodiscard]] bool goes_on_at(const route::Target& target) const;
  Task<std::optional<End>> end_of_break(const Leg& leg);
  std::string_view let_pass(std::string_view bytes, const Pull& pull);
  [[nodiscard]] bool holds(const Pull& pull, std::size_t held) const;
  void note_break(const Outcome& outcome, const Leg& leg);

  const route::Route& route_;
  Deadline deadline_;
  Delivery& delivery_;
  Asked asked_;
  MakeLeg make_leg_;
  Now now_;
  WakeAt wake_at_;
  Event wake_;
  std::function<void(backend::Backend&, const Tried&)> on_attempt_end_;
  // A Target that is asked for whatever model the client names.
  struct AskedFor {
    route::Target target;
    std::shared_ptr<backend::Condition::Figures> figures;
  };
  std::vector<std::optional<AskedFor>> asked_for_;  // by the Route's Targets
  std::vector<double> computed_;      // tokens of the prompt that each of the Route's Targets has to compute
  std::vector<std::uint32_t> order_;  // of the Route's Targets, as its policy has it; empty: as they stand
  std::vector<TargetState> states_;   // in that order
  std::vector<int> tries_;            // at each Target
  std::vector<bool> judged_;          // by its Breaker
  std::vector<Tried> tried_;
  std::size_t current_ = 0;  // in it: the one that is heard
  const backend::Backend* answered_by_ = nullptr;
  Leg* leg_ = nullptr;        // the one under way
  std::optional<Sent> sent_;  // once an answer has broken
  std::string why_not_;       // sent_ cannot be continued; empty: it may
  std::string held_;          // tool calls that wait for the answer's finish
  api::Parts held_parts_;     // the same, of an answer that is gone on with
  // A refusal for the length of the request, kept while one other Target is asked.
  struct TooLong {
    std::unique_ptr<Leg> leg;
    Outcome outcome;
    const backend::Backend* backend;
  };
  std::optional<TooLong> too_long_;
  std::string let_pass_;     // what let_pass() gave, where it was held
  std::string said_;         // by the Target that is asked to go on, when it was told less and did not
  bool has_begun_ = false;   // the Leg under way has given its first token
  bool calls_live_ = false;  // a part of a tool call has gone to the client
  bool pausing_ = false;     // wake_ is waited for, also in a race
  bool aborted_ = false;
};

}  // namespace spillway::attempt
