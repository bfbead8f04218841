// One worker thread with everything that its Exchanges use: loop, timers, connections, Backends.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "config/config.h"
#include "http/client.h"
#include "http/resolver.h"
#include "http/server.h"
#include "http/tls.h"
#include "http/warmer.h"
#include "record/access_log.h"
#include "record/metrics.h"
#include "serve/endpoints.h"

namespace spillway::serve {

// What all workers have in common.
struct Shared {
  record::Metrics& metrics;
  record::AccessLog& access_log;
  std::shared_ptr<http::ServerLoad> client_load;  // over all workers
  backend::Conditions& conditions;
  route::PrefixMaps& prefixes;
};

// Made, configured and destroyed by the control thread; in between every call is a message to the
// worker's loop.
class Worker {
 public:
  Worker(const Shared& shared, std::shared_ptr<const config::Config> config);
  // Only after join().
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Before start(): binds; the port picked for port 0.
  Result<std::uint16_t> listen(const asio::ip::tcp::endpoint& endpoint);
  // Starts the thread. `on_end` is called from it when its loop has ended.
  void start(std::function<void()> on_end);

  // Requests that begin from now on see `config`; Backends whose settings are alike stay.
  void apply(std::shared_ptr<const config::Config> config);
  // What the fleet says of a local Backend.
  void set_local(std::string backend, backend::LocalStatus status);

  // Accepts no more; the thread ends when its last request has.
  void drain();
  // Ends all requests now, and the thread with them.
  void close();
  void join();

 private:
  static constexpr milliseconds kEndCheck{10};  // how often a draining worker looks whether it is done

  void adopt(std::shared_ptr<const config::Config> config);
  void tell_former(const backend::Backend& current, const backend::LocalStatus& status);
  static bool goes_on(const backend::Backend& former, const route::RouteTable::Backends& next);
  void end_if_idle();

  // Sockets and timers belong to this thread; post() from others stays safe.
  asio::io_context loop_{BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO};
  LoopTimers timers_{loop_};
  http::Resolver resolver_{loop_, timers_};
  http::ClientPool pool_;
  http::Warmer warmer_{loop_, timers_, pool_, resolver_};
  backend::Conditions& conditions_;
  route::PrefixMaps& prefixes_;
  record::ThreadMetrics& metrics_;
  record::AccessLogBuffer access_log_;
  route::RouteTable::Backends backends_;
  std::vector<std::weak_ptr<backend::Backend>> former_;  // local ones of earlier Configs, as long as a request has them
  http::TlsContexts tls_contexts_;
  Generation current_;
  Endpoints endpoints_;
  http::Server server_;
  LoopTimers::Entry end_check_;
  std::thread thread_;
};

// The limits of a server's connections, from the Config.
std::shared_ptr<const http::ServerLimits> server_limits(const config::Limits& limits);

}  // namespace spillway::serve
