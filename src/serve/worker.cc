#include "serve/worker.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include "base/log.h"
#include "base/spawn.h"
#include "http/tls.h"

namespace spillway::serve {

namespace {

http::ParserLimits upstream_limits(const config::Limits& limits) {
  http::ParserLimits out;
  out.max_header = limits.max_header;
  out.max_body = limits.max_response;
  return out;
}

}  // namespace

std::shared_ptr<const http::ServerLimits> server_limits(const config::Limits& limits) {
  auto out = std::make_shared<http::ServerLimits>();
  out->parser.max_header = limits.max_header;
  out->parser.max_body = limits.max_body;
  out->max_connections = limits.max_connections;
  out->max_buffered = limits.max_buffered;
  out->header_timeout = limits.header_timeout;
  out->body_timeout = limits.body_timeout;
  out->keep_alive_timeout = limits.keep_alive_timeout;
  out->write_timeout = limits.write_timeout;
  return out;
}

Worker::Worker(const Shared& shared, std::shared_ptr<const config::Config> config)
    : pool_(loop_, timers_, upstream_limits(config->limits)),
      conditions_(shared.conditions),
      prefixes_(shared.prefixes),
      metrics_(shared.metrics.add_thread()),
      access_log_(timers_, shared.access_log),
      endpoints_({timers_, pool_, resolver_, metrics_, access_log_}, current_),
      server_(loop_, timers_, endpoints_, server_limits(config->limits), shared.client_load),
      end_check_(timers_, [this] { end_if_idle(); }) {
  adopt(std::move(config));
}

Worker::~Worker() { join(); }

Result<std::uint16_t> Worker::listen(const asio::ip::tcp::endpoint& endpoint) { return server_.listen(endpoint); }

void Worker::start(std::function<void()> on_end) {
  server_.start();
  thread_ = std::thread([this, on_end = std::move(on_end)] {
    ::pthread_setname_np(::pthread_self(), "spillway-work");
    const auto work = asio::make_work_guard(loop_);
    run_loop(loop_, "a worker");
    on_end();
  });
}

void Worker::apply(std::shared_ptr<const config::Config> config) {
  asio::post(loop_, [this, config = std::move(config)]() mutable { adopt(std::move(config)); });
}

void Worker::adopt(std::shared_ptr<const config::Config> config) {
  route::RouteTable::Backends next;
  for (const config::Backend& settings : config->backends) {
    const auto found = backends_.find(settings.name);
    if (found != backends_.end() && found->second->settings() == settings) {
      next.emplace(settings.name, found->second);
      continue;
    }
    auto made = backend::Backend::make(settings, metrics_, conditions_.of(settings.name), &tls_contexts_);
    if (!made) {  // it was tried before the Config was accepted, so something has changed since
      log::error(settings.name + ": " + made.error().message);
      continue;
    }
    if (!settings.is_local()) resolver_.warm((*made)->origin().url.host);
    next.emplace(settings.name, std::move(*made));
  }
  std::vector<std::shared_ptr<backend::Backend>> replaced;
  for (const auto& [name, backend] : backends_) {
    const auto found = next.find(name);
    if (!backend->is_local() || (found != next.end() && found->second == backend)) continue;
    former_.push_back(backend);
    if (!goes_on(*backend, next)) replaced.push_back(backend);
  }
  backends_ = std::move(next);
  current_ = {config, std::make_shared<const route::RouteTable>(*config, backends_, metrics_, &prefixes_),
              std::make_shared<const admit::OriginRules>(config->server.listen, config->server.cors_origins,
                                                         config->server.hosts)};
  pool_.set_limits(upstream_limits(config->limits));
  std::vector<http::Origin> origins;
  for (const config::Backend& settings : config->backends) {
    const auto found = backends_.find(settings.name);
    if (found != backends_.end() && found->second->origin().tls) origins.push_back(found->second->origin());
  }
  warmer_.keep(origins);
  server_.set_limits(server_limits(config->limits));
  std::shared_ptr<asio::ssl::context> tls;
  if (config->server.tls) {
    auto made = http::make_server_context(config->server.tls->cert_pem, config->server.tls->key_pem);
    if (!made) return log::error(made.error().message);  // it was tried before the Config was accepted
    tls = *made;
  }
  server_.set_tls(std::move(tls));
  // At once, since their Gates may close any moment; who waits goes on when all is in its place.
  for (const auto& former : replaced) {
    former->replace();
    asio::post(loop_, [former] { former->wake_those_who_wait(); });
  }
}

// Whether one that is not in `next` any more will be told how the engine in its place is: see tell_former().
bool Worker::goes_on(const backend::Backend& former, const route::RouteTable::Backends& next) {
  const config::Backend& was = former.settings();
  const auto same = next.find(was.name);
  if (same != next.end()) return same->second->is_local() && same->second->settings().model == was.model;
  return former.ready() && std::ranges::any_of(next, [&](const auto& entry) {
           const config::Backend& other = entry.second->settings();
           return other.is_local() && other.public_name() == was.public_name() && other.model == was.model;
         });
}

void Worker::set_local(std::string backend, backend::LocalStatus status) {
  asio::post(loop_, [this, backend = std::move(backend), status = std::move(status)] {
    const auto found = backends_.find(backend);
    if (found == backends_.end()) return;
    found->second->set_local(status);
    tell_former(*found->second, status);
  });
}

// What is still answered for an earlier Config goes on, when its engine ends, at the one in its place: the same
// member's, or, where there is no such member any more, any of the same Backend.
void Worker::tell_former(const backend::Backend& current, const backend::LocalStatus& status) {
  std::erase_if(former_, [](const std::weak_ptr<backend::Backend>& each) { return each.expired(); });
  const config::Backend& now_so = current.settings();
  for (const std::weak_ptr<backend::Backend>& each : former_) {
    const std::shared_ptr<backend::Backend> former = each.lock();
    const config::Backend& was = former->settings();
    const bool same = was.name == now_so.name;
    const bool sibling = !backends_.contains(was.name) && was.public_name() == now_so.public_name();
    if (was.model == now_so.model && (same || (sibling && status.state == backend::LocalStatus::State::kReady)))
      former->set_local(status);
  }
}

void Worker::drain() {
  asio::post(loop_, [this] {
    server_.drain();
    end_if_idle();
  });
}

void Worker::close() {
  asio::post(loop_, [this] {
    server_.close();
    end_if_idle();
  });
}

// Everything that uses timers_ is a request's: with the last of them gone the loop can be left.
void Worker::end_if_idle() {
  if (server_.open_connections() == 0) {
    loop_.stop();
  } else {
    end_check_.arm(now() + kEndCheck);
  }
}

void Worker::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace spillway::serve
