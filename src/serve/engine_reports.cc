#include "serve/engine_reports.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "base/log.h"

namespace spillway::serve {

EngineReports::EngineReports(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver,
                             backend::Conditions& conditions)
    : loop_(loop), timers_(timers), resolver_(resolver), conditions_(conditions), timer_(timers, [this] { look(); }) {}

EngineReports::~EngineReports() { stop(); }

void EngineReports::keep(const config::Config& config) {
  stop();
  for (const config::Backend& settings : config.backends) {
    const fleet::Engine* const engine = fleet::find_engine(settings.engine);
    if (engine == nullptr || settings.is_local() || engine->metrics_path().empty()) continue;
    auto made = backend::Backend::make(settings, unread_.add_thread(), conditions_.of(settings.name));
    if (made) kept_[settings.name] = {engine, *made, nullptr, false};
  }
  if (!kept_.empty()) look();
}

void EngineReports::stop() {
  timer_.disarm();
  for (auto& [name, kept] : kept_) {
    if (auto asking = std::exchange(kept.asking, nullptr)) asking->abort();
  }
  kept_.clear();
}

void EngineReports::look() {
  for (auto& [name, kept] : kept_) {
    if (kept.asking != nullptr) continue;
    kept.asking = std::make_shared<http::ClientConnection>(loop_, timers_, http::ParserLimits{.max_body = kMaxAnswer});
    asio::co_spawn(loop_, ask(name, kept.backend, kept.asking), asio::detached);
  }
  timer_.arm(now() + kEvery);
}

Task<> EngineReports::ask(std::string name, std::shared_ptr<backend::Backend> backend,
                          std::shared_ptr<http::ClientConnection> connection) {
  const TimePoint until = now() + kTime;
  const fleet::Engine* const engine = fleet::find_engine(backend->settings().engine);
  http::ClientStatus status = co_await connection->open(backend->origin(), resolver_, until);
  if (status == http::ClientStatus::kOk) {
    const std::string request = backend->get_request(engine->metrics_path());
    std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
    status = co_await connection->send(buffers, until);
  }
  while (status == http::ClientStatus::kOk) status = co_await connection->receive(until);
  const auto found = kept_.find(name);
  if (found == kept_.end() || found->second.asking != connection) co_return;  // nobody wants it any more
  std::optional<fleet::EngineLoad> load;
  if (status == http::ClientStatus::kComplete && connection->status() == 200)
    load = engine->read_metrics(connection->body());
  found->second.asking = nullptr;
  if (load) {
    backend->condition().set_report({load->running, load->waiting, load->kv_usage.value_or(0), now()});
  } else if (!found->second.told) {
    log::info("backend " + name + " does not say how much it has to do (" + std::string(engine->metrics_path()) + ")");
  }
  found->second.told = !load;
}

}  // namespace spillway::serve
