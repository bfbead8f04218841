// Which models each provider lists, asked now and then.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/loop_timers.h"
#include "config/config.h"
#include "http/resolver.h"

namespace spillway::serve {

// For Backends with a Target that has `unless_listed`: what GET /models says goes into the Backend's Condition. A
// provider that does not answer is asked again; what it said before holds meanwhile. One thread.
class ModelLists {
 public:
  static constexpr seconds kEvery{600};
  static constexpr seconds kAfterFailure{30};
  static constexpr seconds kTime{10};  // for one answer

  ModelLists(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, backend::Conditions& conditions);
  ~ModelLists();
  ModelLists(const ModelLists&) = delete;
  ModelLists& operator=(const ModelLists&) = delete;

  // The Backends of that Config and no others, from now on.
  void keep(const config::Config& config);
  // Asks no more.
  void stop();

 private:
  struct Kept {
    std::shared_ptr<backend::Backend> backend;
    TimePoint due{};
    std::shared_ptr<http::ClientConnection> asking;
  };

  void look();
  Task<> ask(std::string name, std::shared_ptr<backend::Backend> backend,
             std::shared_ptr<http::ClientConnection> connection);

  asio::io_context& loop_;
  LoopTimers& timers_;
  http::Resolver& resolver_;
  backend::Conditions& conditions_;
  record::Metrics unread_;  // a Backend wants some
  std::map<std::string, Kept> kept_;
  LoopTimers::Entry timer_;
};

}  // namespace spillway::serve
