// Runs a loop until something holds, for as long as a slow machine may need.
#pragma once

#include <boost/asio/io_context.hpp>

#include "base/time.h"

namespace spillway::fleet::testing {

constexpr seconds kPatience{30};

// Does `condition` come to hold? It is asked after each handler of the loop, and every 10 ms for
// what happens outside of it.
template <class Condition>
bool run_until(boost::asio::io_context& loop, Condition condition, Duration patience = kPatience) {
  const TimePoint until = now() + patience;
  while (!condition()) {
    if (now() >= until) return false;
    loop.restart();
    loop.run_one_for(milliseconds(10));
  }
  return true;
}

}  // namespace spillway::fleet::testing
