// Which signals this thread gets, for a while.
#pragma once

#include <csignal>

namespace spillway::cli {

// Blocks or unblocks one signal for this thread, and for threads that it starts meanwhile; then it is as before.
class SignalMask {
 public:
  enum class To { kBlock, kUnblock };
  SignalMask(To to, int signal) {
    sigset_t one;
    ::sigemptyset(&one);
    ::sigaddset(&one, signal);
    ::pthread_sigmask(to == To::kBlock ? SIG_BLOCK : SIG_UNBLOCK, &one, &before_);
  }
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;
  ~SignalMask() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

}  // namespace spillway::cli
