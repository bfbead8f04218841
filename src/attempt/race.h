// Two Legs that open at once.
#pragma once

#include <array>
#include <optional>

#include "attempt/leg.h"
#include "base/event.h"

namespace spillway::attempt {

// Runs the open() of each Leg that enters in a coroutine of its own. Who has won is the caller's to say, who then stops
// the others: within the call their connections are closed. One thread; all that enter have ended before it goes.
class Race {
 public:
  static constexpr std::size_t kMost = 2;

  // `changed` is notified whenever an entrant has opened or failed.
  Race(const Executor& executor, Event& changed) : executor_(executor), changed_(changed) {}
  ~Race();
  Race(const Race&) = delete;
  Race& operator=(const Race&) = delete;

  void enter(Leg& leg);
  [[nodiscard]] std::size_t size() const { return size_; }
  // Of the one that entered as number `i`; nothing: it is still opening.
  [[nodiscard]] const std::optional<Outcome>& outcome(std::size_t i) const { return entrants_[i].outcome; }
  // Aborts that one, and returns when it has ended; at once where it has.
  Task<> stop(std::size_t i);

 private:
  struct Entrant {
    Leg* leg = nullptr;
    std::optional<Outcome> outcome;
  };

  Executor executor_;
  Event& changed_;
  std::array<Entrant, kMost> entrants_;
  std::size_t size_ = 0;
};

}  // namespace spillway::attempt
