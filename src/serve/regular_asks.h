// What Backends are asked again and again, beside the requests of clients: GETs, each on a connection of its own.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/loop_timers.h"
#include "http/client.h"
#include "http/resolver.h"

namespace spillway::serve {

struct RegularAsk {
  std::string name;  // one of each
  std::shared_ptr<backend::Backend> backend;
  std::string request;  // whole, with "Connection: close"
  Duration every{};
  Duration after_failure{};
  Duration limit{};  // for one answer
  // Of an answer with status 200, else null. False: it is a failure.
  std::function<bool(const std::string* body)> take;
};

// One thread.
class RegularAsks {
 public:
  static constexpr std::size_t kMaxAnswer = 8u << 20;  // bytes

  RegularAsks(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver);
  ~RegularAsks();
  RegularAsks(const RegularAsks&) = delete;
  RegularAsks& operator=(const RegularAsks&) = delete;

  // These and no others, from now on; at once for the first time.
  void keep(std::vector<RegularAsk> asks);
  // Asks no more.
  void stop();

 private:
  struct Kept {
    RegularAsk ask;
    TimePoint due{};
    std::shared_ptr<http::ClientConnection> asking;
  };

  void look();
  Task<> ask(std::string name, std::shared_ptr<http::ClientConnection> connection);

  asio::io_context& loop_;
  LoopTimers& timers_;
  http::Resolver& resolver_;
  std::map<std::string, Kept> kept_;
  LoopTimers::Entry timer_;
};

}  // namespace spillway::serve
