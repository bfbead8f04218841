// A thing that one coroutine can wait for.
#pragma once

#include <boost/asio/async_result.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cassert>
#include <optional>
#include <utility>

#include "base/loop.h"

namespace spillway {

// Single waiter, single thread. notify() before wait() is remembered once (as with a binary
// semaphore). notify() resumes the waiter inside the call: let it be the caller's last step.
//
// A timer that never expires is the usual stand-in for this in Asio; it costs a timer-queue
// operation and a cancelled handler on each wake-up, which the path of a request cannot afford.
class Event {
 public:
  Task<> wait() {
    if (signalled_) {
      signalled_ = false;
      co_return;
    }
    co_await suspend();
  }

  // wait() where no notification can be remembered: one coroutine frame less, on the path of a token.
  Task<> suspend() {
    assert(!waiter_ && !signalled_);
    return asio::async_initiate<Token, void()>([this](Handler handler) { waiter_.emplace(std::move(handler)); },
                                               token_);
  }

  void notify() {
    if (!waiter_) {
      signalled_ = true;
      return;
    }
    Handler handler = std::move(*waiter_);
    waiter_.reset();
    std::move(handler)();
  }

  // Forgets a notification that nobody waited for.
  void reset() { signalled_ = false; }

 private:
  using Token = asio::use_awaitable_t<Executor>;
  using Handler = asio::async_result<Token, void()>::handler_type;

  std::optional<Handler> waiter_;
  bool signalled_ = false;
  Token token_;
};

}  // namespace spillway
