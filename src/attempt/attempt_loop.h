// Asking the Targets of a Route until one has answered.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "attempt/delivery.h"
#include "attempt/leg.h"
#include "attempt/policy.h"
#include "route/route_table.h"

namespace spillway::attempt {

// Carries out what next_move() says: opens a Leg, hands what it gives to the Delivery, and notes how it ended. Knows
// neither sockets nor the clock: a test gives it scripted Legs and a time of its own. One thread; run() once.
class AttemptLoop {
 public:
  using MakeLeg = std::function<std::unique_ptr<Leg>(const route::Target& target)>;
  using Now = std::function<TimePoint()>;

  AttemptLoop(const route::Route& route, Deadline deadline, Delivery& delivery, MakeLeg make_leg, Now now);

  enum class End {
    kAnswered,  // the client has the whole answer
    kRefused,   // the last Target found fault with the request itself, and the client was told
    kClientGone,
    kDeadline,   // it passed; the client was told nothing
    kBroken,     // the answer broke after its first token; the client was not told that
    kAllFailed,  // the client was told nothing
  };
  Task<End> run();

  // The client left: ends what is under way, at once.
  void abort();

  // The Attempts, in their order.
  struct Tried {
    const backend::Backend* backend = nullptr;
    Outcome outcome;
    Leg::Record record;
  };
  [[nodiscard]] const std::vector<Tried>& tried() const { return tried_; }
  // Whose answer or refusal the client has; null: nobody's yet.
  [[nodiscard]] const backend::Backend* answered_by() const { return answered_by_; }

  // Called when an Attempt has ended, with the last of tried().
  void on_attempt_end(std::function<void(backend::Backend&, const Tried&)> callback) {
    on_attempt_end_ = std::move(callback);
  }

 private:
  [[nodiscard]] Move choose();
  Task<Outcome> attempt(Leg& leg);
  Task<Outcome> deliver(Leg& leg);

  const route::Route& route_;
  Deadline deadline_;
  Delivery& delivery_;
  MakeLeg make_leg_;
  Now now_;
  std::function<void(backend::Backend&, const Tried&)> on_attempt_end_;
  std::vector<TargetState> states_;
  std::vector<Tried> tried_;
  const backend::Backend* answered_by_ = nullptr;
  Leg* leg_ = nullptr;  // the one under way
  bool committed_ = false;
  bool aborted_ = false;
};

}  // namespace spillway::attempt
