#include "serve/gateway.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <csignal>
#include <thread>

#include "backend/backend.h"
#include "base/file.h"
#include "base/spawn.h"
#include "config/members.h"
#include "fleet/launcher/docker/api.h"
#include "fleet/launcher/docker/docker_launcher.h"
#include "http/tls.h"
#include "serve/backend_news.h"
#include "serve/banner.h"
#include "serve/probe.h"

namespace spillway::serve {

namespace {

// One descriptor for each client and each upstream's connection: as many as the system lets us have.
void raise_file_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

Result<asio::ip::tcp::endpoint> endpoint_of(const config::Address& address) {
  const std::string host = address.host == "localhost" ? "127.0.0.1" : address.host;
  ErrorStatus ec;
  const auto parsed = asio::ip::make_address(host, ec);
  if (ec) {
    return Error{ErrorCode::kInvalidArgument, "cannot listen on " + address.to_string() + ": it is not an IP address",
                 "name an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all"};
  }
  return asio::ip::tcp::endpoint(parsed, address.port);
}

// Sockets with SO_REUSEPORT share a port without a word, also with another process of the same user:
// one without it tells whether the port is free.
Status check_free(const asio::ip::tcp::endpoint& endpoint, const config::Address& address) {
  if (endpoint.port() == 0) return {};
  asio::io_context loop;
  asio::ip::tcp::acceptor acceptor(loop);
  ErrorStatus ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) return {};
  Error error{ErrorCode::kAlreadyExists, "cannot listen on " + address.to_string() + ": " + ec.message(), {}};
  error.hint = ec == asio::error::address_in_use
                   ? "another program listens there; end it, or set another address (port 0 picks a free one)"
               : ec == asio::error::access_denied
                   ? "ports below 1024 need root or CAP_NET_BIND_SERVICE"
                   : "name an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all";
  return error;
}

backend::LocalStatus to_local(const fleet::ReplicaStatus& replica) {
  using State = fleet::ReplicaStatus::State;
  backend::LocalStatus out;
  switch (replica.state) {
    case State::kStarting:
    case State::kUnloaded: out.state = backend::LocalStatus::State::kLoading; break;
    case State::kReady: out.state = backend::LocalStatus::State::kReady; break;
    case State::kFailing:
    case State::kStopped: out.state = backend::LocalStatus::State::kStopped; break;
  }
  out.port = replica.port;
  out.key = replica.key;
  out.lease = replica.lease;
  return out;
}

int thread_count(const config::Config& config) {
  if (config.server.threads > 0) return config.server.threads;
  return static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
}

std::shared_ptr<const http::ServerLimits> admin_limits() {
  auto limits = std::make_shared<http::ServerLimits>();
  limits->parser.max_body = 64u << 10;
  limits->max_connections = 256;
  return limits;
}

}  // namespace

Gateway::Gateway(Options options)
    : options_(std::move(options)),
      config_(std::make_shared<const config::Config>(config::with_members(options_.config))),
      began_at_(now()),
      admin_handler_({[this] { return metrics_text(); }, [this] { return status(); },
                      [this] {
                        return std::make_shared<const admit::OriginRules>(
                            config_->server.admin_listen, std::vector<std::string>(), config_->server.hosts);
                      }}),
      admin_server_(loop_, timers_, admin_handler_, admin_limits(), std::make_shared<http::ServerLoad>()),
      watch_timer_(timers_, [this] { watch(); }),
      drain_timer_(timers_, [this] { cut_off(); }),
      end_timer_(timers_, [this] { end_when_idle(); }) {}

Gateway::~Gateway() = default;

Status Gateway::open() {
  raise_file_limit();
  // What is written from here on holds who asked what, and models: nobody else's affair.
  constexpr ::mode_t kOthers = S_IRWXO | S_IWGRP;
  ::umask(::umask(kOthers) | kOthers);
  log::set_level(options_.log_level.value_or(config_->log.level));
  if (Status made = make_writable_directory(options_.data); !made) return made;
  if (Status fine = check(*config_); !fine) return fine;
  fleet_ = std::make_unique<fleet::Fleet>(
      loop_, fleet::Fleet::Options{options_.data, options_.environment, make_probe(loop_, timers_, resolver_),
                                   [this](const fleet::ReplicaStatus& replica) { on_replica(replica); },
                                   [this](const std::string& backend) { return work_of(backend); },
                                   make_container_launcher()});
  pool_keeper_ = std::make_unique<PoolKeeper>(timers_, *fleet_, conditions_);
  scale_keeper_ = std::make_unique<ScaleKeeper>(timers_, *fleet_, conditions_);
  governor_keeper_ = std::make_unique<GovernorKeeper>(timers_, *fleet_, conditions_);
  if (Status fine = fleet_->check(*config_); !fine) return fine;
  if (Status opened = open_access_log(); !opened) return opened;
  if (Status opened = open_workers(); !opened) return opened;
  return open_admin();
}

fleet::Work Gateway::work_of(const std::string& backend) {
  const admit::Gate::Numbers numbers = conditions_.of(backend)->gate().numbers(now());
  return {numbers.inside, numbers.admitted};
}

// Null where DOCKER_HOST names none that could be asked.
std::unique_ptr<fleet::Launcher> Gateway::make_container_launcher() {
  Result<std::string> socket = fleet::docker::socket_of(options_.environment);
  if (!socket) return nullptr;
  return fleet::docker::make_launcher(loop_, timers_, resolver_, {std::move(socket).value(), options_.data});
}

Status Gateway::open_access_log() {
  record::AccessLog::Settings settings;
  settings.max_size = config_->log.access_max_size;
  settings.files = config_->log.access_files;
  if (config_->log.access == "auto") {
    if (Status made = make_writable_directory(options_.data / "log"); !made) return made;
    settings.path = options_.data / "log" / "access.jsonl";
  } else if (config_->log.access != "off") {
    settings.path = config_->log.access;
  }
  auto opened = record::AccessLog::open(settings);
  if (!opened) return opened.error();
  access_log_ = std::move(*opened);
  return {};
}

Status Gateway::open_workers() {
  auto endpoint = endpoint_of(config_->server.listen);
  if (!endpoint) return endpoint.error();
  if (Status free = check_free(*endpoint, config_->server.listen); !free) return free;
  auto settled = std::make_shared<config::Config>(*config_);
  const int threads = thread_count(*config_);
  for (int i = 0; i < threads; ++i) {
    workers_.push_back(
        std::make_unique<Worker>(Shared{metrics_, *access_log_, client_load_, conditions_, prefixes_}, config_));
    auto port = workers_.back()->listen(*endpoint);
    if (!port) return port.error();
    endpoint->port(*port);
    settled->server.listen.port = *port;
  }
  config_ = std::move(settled);
  return {};
}

Status Gateway::open_admin() {
  auto endpoint = endpoint_of(config_->server.admin_listen);
  if (!endpoint) return endpoint.error();
  if (Status free = check_free(*endpoint, config_->server.admin_listen); !free) return free;
  auto port = admin_server_.listen(*endpoint);
  if (!port) return port.error();
  auto settled = std::make_shared<config::Config>(*config_);
  settled->server.admin_listen.port = *port;
  config_ = std::move(settled);
  return {};
}

// Once on this thread, so that a certificate file that cannot be read is found before any worker is told.
Status Gateway::check(const config::Config& config) {
  if (config.server.tls) {
    auto made = http::make_server_context(config.server.tls->cert_pem, config.server.tls->key_pem);
    if (!made) return made.error();
  }
  record::ThreadMetrics nobodys;
  http::TlsContexts contexts;
  for (const config::Backend& settings : config.backends) {
    auto made = backend::Backend::make(settings, nobodys, nullptr, &contexts);
    if (made) continue;
    Error error = made.error();
    error.message = "backend " + settings.name + ": " + error.message;
    return error;
  }
  return {};
}

void Gateway::run() {
  std::signal(SIGPIPE, SIG_IGN);
  if (options_.obeys_signals) {
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) signals_.add(number);
    wait_for_signal();
  }
  running_workers_ = workers_.size();
  for (const auto& worker : workers_) {
    worker->start([this] { asio::post(loop_, [this] { on_worker_end(); }); });
  }
  admin_server_.start();
  options_.say("listening on " + url_of(config_->server.listen, config_->server.tls.has_value()) + "\nadmin on " +
               url_of(config_->server.admin_listen) + "\n");
  if (Status applied = fleet_->apply(*config_); !applied) log::error(applied.error().message);
  options_.say(banner(*config_));
  regular_asks_.keep(asks_for(*config_, conditions_, unread_));
  pool_keeper_->keep(*config_);
  scale_keeper_->keep(*config_);
  governor_keeper_->keep(*config_);
  watch_.watch(options_.files);
  if (options_.reload) watch_timer_.arm(now() + kWatchEvery);
  run_loop(loop_, "the control loop");
  for (const auto& worker : workers_) worker->join();
  workers_.clear();
  pool_keeper_.reset();
  scale_keeper_.reset();
  governor_keeper_.reset();
  fleet_.reset();
  access_log_.reset();
}

void Gateway::stop() {
  asio::post(loop_, [this] { on_signal(SIGTERM); });
}

void Gateway::wait_for_signal() {
  signals_.async_wait([this](const ErrorStatus& ec, int number) {
    if (ec) return;
    wait_for_signal();
    on_signal(number);
  });
}

void Gateway::on_signal(int number) {
  if (number == SIGHUP) {
    reload();
  } else if (!draining_) {
    log::info(std::string(number == SIGTERM ? "SIGTERM" : "SIGINT") + ": no new requests; what is under way may take " +
              std::to_string(config_->server.drain_timeout.count() / 1000) + " s more");
    drain();
  } else {
    log::warn("told to end a second time: cutting off what is under way");
    cut_off();
  }
}

void Gateway::watch() {
  if (draining_) return;
  if (watch_.changed()) reload();
  watch_timer_.arm(now() + kWatchEvery);
}

void Gateway::reload() {
  if (draining_) return;
  if (!options_.reload) {
    log::warn("SIGHUP: there is no config file to read again");
    return;
  }
  config::Loaded loaded = options_.reload();
  std::string refused;
  for (const config::Problem& problem : loaded.problems) refused += (refused.empty() ? "" : "\n") + problem.to_string();
  for (const config::Problem& warning : loaded.warnings) log::warn(warning.to_string());
  if (loaded.config) {
    if (Status taken = take_up(std::move(*loaded.config)); !taken) refused = taken.error().message;
  }
  if (!refused.empty() && refused != refused_config_)
    log::error("the changed config is refused, the one before goes on:\n" + refused);
  refused_config_ = std::move(refused);
  watch_.watch(std::move(loaded.files));
}

Status Gateway::take_up(config::Config next) {
  next = config::with_members(next);
  next.file = config_->file;
  if (Status fine = check(next); !fine) return fine;
  if (Status fine = fleet_->check(next); !fine) return fine;
  note_restarts(next);
  next.server.listen = config_->server.listen;
  next.server.admin_listen = config_->server.admin_listen;
  log::set_level(options_.log_level.value_or(next.log.level));
  config_ = std::make_shared<const config::Config>(std::move(next));
  // Workers first: from here on a status of the fleet means the new Backends.
  for (const auto& worker : workers_) worker->apply(config_);
  regular_asks_.keep(asks_for(*config_, conditions_, unread_));
  if (Status applied = fleet_->apply(*config_); !applied) log::error(applied.error().message);
  pool_keeper_->keep(*config_);
  scale_keeper_->keep(*config_);
  governor_keeper_->keep(*config_);
  for (const fleet::ReplicaStatus& replica : fleet_->status()) {
    if (replica.serving) on_replica(replica);
  }
  log::info("took up the changed config " + config_->file.string());
  return {};
}

void Gateway::note_restarts(const config::Config& next) {
  needs_restart_.clear();
  const auto note = [&](bool changed, const char* setting) {
    if (!changed) return;
    needs_restart_.emplace_back(setting);
    log::warn(std::string(setting) + " has changed: it takes effect at the next start");
  };
  // As the file said at the start: the ports there may be 0.
  const config::Config& first = options_.config;
  note(next.server.listen != first.server.listen, "server.listen");
  note(next.server.admin_listen != first.server.admin_listen, "server.admin_listen");
  note(next.server.threads != first.server.threads, "server.threads");
  note(next.log.access != first.log.access || next.log.access_max_size != first.log.access_max_size ||
           next.log.access_files != first.log.access_files,
       "log.access");
}

bool Gateway::is_spare(const std::string& backend) const {
  const auto found = std::ranges::find(config_->backends, backend, &config::Backend::name);
  return found != config_->backends.end() && found->spare;
}

void Gateway::on_replica(const fleet::ReplicaStatus& replica) {
  // What ran under the name that a provider has now ends by itself.
  const auto named = std::ranges::find(config_->backends, replica.backend, &config::Backend::name);
  if (named != config_->backends.end() && !named->is_local()) return;
  backend::LocalStatus local = to_local(replica);
  using State = backend::LocalStatus::State;
  using Behind = admit::Gate::Behind;
  if (local.state == State::kReady && std::exchange(answering_[replica.backend], replica.pid) != replica.pid)
    conditions_.of(replica.backend)
        ->begin_anew(static_cast<std::size_t>(replica.slots), replica.kept_tokens / route::kPrefixBlockTokens);
  // Nobody waits for a standby: others answer meanwhile.
  if (local.state == State::kLoading && is_spare(replica.backend)) local.state = State::kStopped;
  admit::Gate& gate = conditions_.of(replica.backend)->gate();
  // One that makes way lets nobody in before any worker hears of it.
  if (local.state == State::kLoading) gate.set_behind(Behind::kLoading, now());
  for (const auto& worker : workers_) worker->set_local(replica.backend, local);
  // Behind these messages, so that whoever is let in finds it there.
  if (local.state != State::kLoading)
    gate.set_behind(local.state == State::kReady ? Behind::kReady : Behind::kStopped, now());
}

void Gateway::drain() {
  regular_asks_.stop();
  draining_ = true;
  watch_timer_.disarm();
  drain_timer_.arm(now() + config_->server.drain_timeout);
  for (const auto& worker : workers_) worker->drain();
}

void Gateway::cut_off() {
  const std::uint32_t left = client_load_->connections.load(std::memory_order_relaxed);
  if (left > 0) log::warn("cutting off " + std::to_string(left) + " connection(s)");
  drain_timer_.disarm();
  for (const auto& worker : workers_) worker->close();
}

void Gateway::on_worker_end() {
  if (--running_workers_ > 0) return;
  pool_keeper_->stop();
  scale_keeper_->stop();
  governor_keeper_->stop();
  drain_timer_.disarm();
  fleet_->stop([this] { finish(); });
}

void Gateway::finish() {
  admin_server_.close();
  end_when_idle();
}

void Gateway::end_when_idle() {
  if (admin_server_.open_connections() == 0) {
    loop_.stop();
  } else {
    end_timer_.arm(now() + milliseconds(10));
  }
}

}  // namespace spillway::serve
