#include "serve/model_lists.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "api/model_list.h"
#include "base/log.h"

namespace spillway::serve {

ModelLists::ModelLists(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver,
                       backend::Conditions& conditions)
    : loop_(loop), timers_(timers), resolver_(resolver), conditions_(conditions), timer_(timers, [this] { look(); }) {}

ModelLists::~ModelLists() { stop(); }

void ModelLists::keep(const config::Config& config) {
  std::map<std::string, Kept> next;
  for (const config::Route& route : config.routes) {
    for (const config::Target& target : route.targets) {
      if (!target.unless_listed || next.contains(target.backend)) continue;
      for (const config::Backend& settings : config.backends) {
        if (settings.name != target.backend || settings.is_local()) continue;
        auto made = backend::Backend::make(settings, unread_.add_thread(), conditions_.of(settings.name));
        if (made) next[settings.name] = {*made, now(), nullptr};
      }
    }
  }
  stop();
  kept_ = std::move(next);
  if (!kept_.empty()) look();
}

void ModelLists::stop() {
  timer_.disarm();
  for (auto& [name, kept] : kept_) {
    if (auto asking = std::exchange(kept.asking, nullptr)) asking->abort();
  }
  kept_.clear();
}

void ModelLists::look() {
  TimePoint next = now() + kEvery;
  for (auto& [name, kept] : kept_) {
    if (kept.due <= now()) {
      kept.due = now() + kEvery;
      kept.asking = std::make_shared<http::ClientConnection>(loop_, timers_, http::ParserLimits{});
      asio::co_spawn(loop_, ask(name, kept.backend, kept.asking), asio::detached);
    }
    next = std::min(next, kept.due);
  }
  timer_.arm(next);
}

Task<> ModelLists::ask(std::string name, std::shared_ptr<backend::Backend> backend,
                       std::shared_ptr<http::ClientConnection> connection) {
  const TimePoint until = now() + kTime;
  http::ClientStatus status = co_await connection->open(backend->origin(), resolver_, until);
  if (status == http::ClientStatus::kOk) {
    const std::string request = backend->list_request();
    std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
    status = co_await connection->send(buffers, until);
  }
  while (status == http::ClientStatus::kOk) status = co_await connection->receive(until);
  const auto found = kept_.find(name);
  if (found == kept_.end() || found->second.asking != connection) co_return;  // nobody wants it any more
  std::vector<std::string> models;
  if (status == http::ClientStatus::kComplete && connection->status() == 200)
    models = api::listed_models(connection->body());
  found->second.asking = nullptr;
  if (!models.empty()) {
    backend->condition().set_models(std::move(models));
    co_return;
  }
  log::info("backend " + name + " does not tell which models it has; its default is asked for");
  found->second.due = now() + kAfterFailure;
  timer_.arm(found->second.due);
}

}  // namespace spillway::serve
