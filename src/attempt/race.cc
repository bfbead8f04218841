#include "attempt/race.h"

#include <boost/asio/co_spawn.hpp>
#include <cassert>
#include <exception>

namespace spillway::attempt {

Race::~Race() {
  for (std::size_t i = 0; i < size_; ++i) assert(entrants_[i].outcome);
}

void Race::enter(Leg& leg) {
  assert(size_ < kMost);
  Entrant& entrant = entrants_[size_++];
  entrant.leg = &leg;
  asio::co_spawn(executor_, open_safely(leg), [this, &entrant](const std::exception_ptr& failure, Outcome outcome) {
    if (failure) outcome = Outcome{OutcomeClass::kInternal, 0, text_of(failure)};  // not even memory for that
    entrant.outcome = std::move(outcome);
    changed_.notify();  // the last step: whoever waits goes on inside the call
  });
}

Task<> Race::stop(std::size_t i) {
  if (!entrants_[i].outcome) entrants_[i].leg->abort();
  while (!entrants_[i].outcome) co_await changed_.wait();
}

}  // namespace spillway::attempt
