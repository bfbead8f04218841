// How much engines have to do that somebody else runs, asked every two seconds: `engine` with a `base_url`.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "backend/backend.h"
#include "base/loop_timers.h"
#include "config/config.h"
#include "fleet/engine/engine.h"
#include "http/resolver.h"

namespace spillway::serve {

// What its metrics say goes into the Backend's Condition, where routing looks. One that does not answer is asked again;
// what it said before is forgotten after Condition::kReportHolds. One thread.
class EngineReports {
 public:
  static constexpr milliseconds kEvery{2'000};
  static constexpr milliseconds kTime{1'500};  // for one answer
  static constexpr std::size_t kMaxAnswer = 8u << 20;

  EngineReports(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, backend::Conditions& conditions);
  ~EngineReports();
  EngineReports(const EngineReports&) = delete;
  EngineReports& operator=(const EngineReports&) = delete;

  // The Backends of that Config and no others, from now on.
  void keep(const config::Config& config);
  // Asks no more.
  void stop();

 private:
  struct Kept {
    const fleet::Engine* engine = nullptr;
    std::shared_ptr<backend::Backend> backend;
    std::shared_ptr<http::ClientConnection> asking;
    bool told = false;  // that it says nothing
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
