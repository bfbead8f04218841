#include "serve/regular_asks.h"

#include <utility>

#include "base/spawn.h"

namespace spillway::serve {

RegularAsks::RegularAsks(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver)
    : loop_(loop), timers_(timers), resolver_(resolver), timer_(timers, [this] { look(); }) {}

RegularAsks::~RegularAsks() { stop(); }

void RegularAsks::keep(std::vector<RegularAsk> asks) {
  stop();
  for (RegularAsk& ask : asks) {
    const std::string name = ask.name;
    kept_[name] = {std::move(ask), now(), nullptr};
  }
  if (!kept_.empty()) look();
}

void RegularAsks::stop() {
  timer_.disarm();
  for (auto& [name, kept] : kept_) {
    if (auto asking = std::exchange(kept.asking, nullptr)) asking->abort();
  }
  kept_.clear();
}

void RegularAsks::look() {  // NOLINT(misc-no-recursion): ask() begins through the loop
  TimePoint next = TimePoint::max();
  for (auto& [name, kept] : kept_) {
    if (kept.due <= now() && kept.asking == nullptr) {
      kept.due = now() + kept.ask.every;
      kept.asking =
          std::make_shared<http::ClientConnection>(loop_, timers_, http::ParserLimits{.max_body = kMaxAnswer});
      spawn(loop_, "a regular question", ask(name, kept.asking), [this, name](const std::string&) {
        if (const auto found = kept_.find(name); found != kept_.end()) found->second.asking = nullptr;
      });
    }
    next = std::min(next, std::max(kept.due, now() + milliseconds(1)));
  }
  if (next != TimePoint::max()) timer_.arm(next);
}

// NOLINTNEXTLINE(misc-no-recursion): see look()
Task<> RegularAsks::ask(std::string name, std::shared_ptr<http::ClientConnection> connection) {
  const auto asked = kept_.find(name);
  if (asked == kept_.end()) co_return;
  const std::shared_ptr<backend::Backend> backend = asked->second.ask.backend;
  const std::string request = asked->second.ask.request;
  const TimePoint until = now() + asked->second.ask.limit;
  http::ClientStatus status = co_await connection->open(backend->origin(), resolver_, until);
  if (status == http::ClientStatus::kOk) {
    std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
    status = co_await connection->send(buffers, until);
  }
  while (status == http::ClientStatus::kOk) status = co_await connection->receive(until);
  const auto found = kept_.find(name);
  if (found == kept_.end() || found->second.asking != connection) co_return;  // nobody wants it any more
  Kept& kept = found->second;
  kept.asking = nullptr;
  std::string body;
  const bool whole = status == http::ClientStatus::kComplete && connection->status() == 200;
  if (whole) body = connection->body();
  if (kept.ask.take(whole ? &body : nullptr)) co_return;
  kept.due = now() + kept.ask.after_failure;
  look();
}

}  // namespace spillway::serve
