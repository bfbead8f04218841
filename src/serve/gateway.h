// The running process: worker threads and their listeners, the fleet, the admin plane, reload, drain.
#pragma once

#include <boost/asio/signal_set.hpp>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "admin/admin_handler.h"
#include "admin/status.h"
#include "base/log.h"
#include "base/loop_timers.h"
#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/fleet.h"
#include "http/resolver.h"
#include "http/server.h"
#include "record/access_log.h"
#include "record/metrics.h"
#include "serve/config_watch.h"
#include "serve/governor_keeper.h"
#include "serve/pool_keeper.h"
#include "serve/regular_asks.h"
#include "serve/scale_keeper.h"
#include "serve/worker.h"

namespace spillway::serve {

// Lives on the thread that calls run(), the control thread, which must be the process's main thread:
// engines die with the thread that started them. Worker threads are told by messages.
class Gateway {
 public:
  struct Options {
    config::Config config;
    std::filesystem::path data;
    config::Environment environment;
    std::vector<config::SeenFile> files;          // that `config` came from, as they were when they were read
    std::function<config::Loaded()> reload;       // reads the config again; empty: there is no file
    std::optional<log::Level> log_level;          // overrides the config's
    std::function<void(const std::string&)> say;  // what goes to stdout
    bool obeys_signals = true;                    // false: only stop() ends it
  };
  explicit Gateway(Options options);
  ~Gateway();
  Gateway(const Gateway&) = delete;
  Gateway& operator=(const Gateway&) = delete;

  // Everything that can fail: log, Backends, engine, models, addresses. Nothing runs yet, and an
  // Error leaves nothing behind.
  Status open();

  // What of a Config only its use shows: certificates, and files of Backends.
  static Status check(const config::Config& config);

  // Serves until SIGTERM or SIGINT has been obeyed (a second one ends what still drains). SIGHUP, or
  // a changed config file, reloads.
  void run();

  // From any thread, once run() has been called: as SIGTERM.
  void stop();

  // After open(): with the ports that were taken.
  [[nodiscard]] const config::Server& addresses() const { return config_->server; }

 private:
  static constexpr milliseconds kWatchEvery{1'000};  // a change is taken up after two looks

  fleet::Work work_of(const std::string& backend);
  std::unique_ptr<fleet::Launcher> make_container_launcher();
  Status open_access_log();
  Status open_admin();
  Status open_workers();

  void wait_for_signal();
  void on_signal(int number);
  void watch();
  void reload();
  Status take_up(config::Config config);
  void note_restarts(const config::Config& next);
  [[nodiscard]] bool is_spare(const std::string& backend) const;
  void on_replica(const fleet::ReplicaStatus& replica);

  void drain();
  void cut_off();
  void on_worker_end();
  void finish();
  void end_when_idle();

  [[nodiscard]] std::string metrics_text();
  [[nodiscard]] admin::Status status();

  Options options_;
  std::shared_ptr<const config::Config> config_;
  TimePoint began_at_;

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  http::Resolver resolver_{loop_, timers_};
  asio::signal_set signals_{loop_};
  record::Metrics metrics_;
  backend::Conditions conditions_;
  route::PrefixMaps prefixes_;
  std::unique_ptr<record::AccessLog> access_log_;
  std::shared_ptr<http::ServerLoad> client_load_ = std::make_shared<http::ServerLoad>();
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<fleet::Fleet> fleet_;
  std::unique_ptr<PoolKeeper> pool_keeper_;
  std::unique_ptr<ScaleKeeper> scale_keeper_;
  std::unique_ptr<GovernorKeeper> governor_keeper_;
  admin::AdminHandler admin_handler_;
  http::Server admin_server_;
  std::map<std::string, int> answering_;  // the pid of the engine that answered last, by Backend
  record::Metrics unread_;                // of the Backends that are asked regularly
  RegularAsks regular_asks_{loop_, timers_, resolver_};
  ConfigWatch watch_;
  LoopTimers::Entry watch_timer_;
  LoopTimers::Entry drain_timer_;
  LoopTimers::Entry end_timer_;
  std::string refused_config_;
  std::vector<std::string> needs_restart_;
  std::size_t running_workers_ = 0;
  bool draining_ = false;
};

// The status of all Backends and Routes of a Config, from what the fleet and the metrics say.
void describe_backends(admin::Status& status, const config::Config& config,
                       const std::vector<fleet::ReplicaStatus>& replicas,
                       const std::vector<record::Metrics::BackendTotals>& totals);

}  // namespace spillway::serve
