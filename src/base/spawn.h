// Coroutines that nobody awaits.
#pragma once

#include <boost/asio/co_spawn.hpp>
#include <functional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include "base/bug.h"
#include "base/loop.h"

namespace spillway {

// Runs `task`, the one way to do so. An exception in it ends nothing else: it is a bug(), and `failed`, where there is
// one, is told, so that what was asked for fails too. `what`: for the log; a literal.
inline void spawn(const Executor& executor, std::string_view what, Task<> task,
                  std::function<void(const std::string& why)> failed = {},
                  std::source_location where = std::source_location::current()) {
  asio::co_spawn(executor, std::move(task),
                 [what, failed = std::move(failed), where](const std::exception_ptr& failure) {
                   if (!failure) return;
                   const std::string why = text_of(failure);
                   bug(std::string(what) + " ended by an exception: " + why, where);
                   if (failed) failed(why);
                 });
}
inline void spawn(asio::io_context& loop, std::string_view what, Task<> task,
                  std::function<void(const std::string& why)> failed = {},
                  std::source_location where = std::source_location::current()) {
  spawn(loop.get_executor(), what, std::move(task), std::move(failed), where);
}

// Runs what `loop` has until it is stopped or has nothing left. An exception out of a handler is a bug(); the others
// go on.
inline void run_loop(asio::io_context& loop, std::string_view what) {
  for (;;) {
    try {
      loop.run();
      return;
    } catch (...) {
      bug(std::string(what) + ": a handler ended by an exception: " + text_of(std::current_exception()));
    }
  }
}

}  // namespace spillway
