// A connection to each origin that is there before it is needed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/loop_timers.h"
#include "http/client.h"
#include "http/resolver.h"

namespace spillway::http {

// Handshakes cost two round trips and more, which the first request after a silence would wait for. So one idle
// connection to each origin is kept open, opened anew when the other side or its age ends it, for kAfterUse after the
// origin was last asked (or named). Nothing is sent on it: only requests cost money. One thread.
class Warmer {
 public:
  static constexpr seconds kAfterUse{900};
  static constexpr seconds kConnectTime{10};
  // Between two openings, at least: doubled while they fail, or are ended within kShortLife.
  static constexpr milliseconds kFirstPause{100};
  static constexpr seconds kLongestPause{60};
  static constexpr seconds kShortLife{5};
  // Opened at a time: a handshake takes a millisecond of CPU, and requests would wait behind hundreds.
  static constexpr std::size_t kAtOnce = 4;

  Warmer(asio::io_context& loop, LoopTimers& timers, ClientPool& pool, Resolver& resolver);
  ~Warmer();
  Warmer(const Warmer&) = delete;
  Warmer& operator=(const Warmer&) = delete;

  // Of many origins the first so many, and those that are used: a TLS connection takes about 90 KiB.
  static constexpr std::size_t kMost = 16;

  // These and no others, from now on; the most important first.
  void keep(const std::vector<Origin>& origins);

 private:
  struct Kept {
    Origin origin;
    std::size_t rank = 0;
    TimePoint named_at{};
    TimePoint opened_at{};
    TimePoint not_before{};
    milliseconds pause{kFirstPause};
    std::shared_ptr<ClientConnection> opening;
  };

  void look();
  void gone(const std::string& key);
  Task<> open(std::string key, Origin origin, std::shared_ptr<ClientConnection> connection);
  static void put_off(Kept& kept);

  asio::io_context& loop_;
  ClientPool& pool_;
  Resolver& resolver_;
  std::map<std::string, Kept> kept_;  // by the origin's key
  std::size_t opening_ = 0;
  bool waiting_ = false;  // others have to be opened when there is room
  LoopTimers::Entry timer_;
};

}  // namespace spillway::http
