#include "fleet/launcher/docker/docker_launcher.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/steady_timer.hpp>
#include <csignal>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/spawn.h"
#include "fleet/hardware/root.h"
#include "fleet/launcher/docker/deployment.h"
#include "fleet/launcher/docker/engine.h"
#include "fleet/launcher/docker/log_frames.h"

namespace spillway::fleet::docker {

namespace {

namespace fs = std::filesystem;

constexpr seconds kAgain{1};    // after the daemon broke off: it restarts
constexpr seconds kLogRest{2};  // from a container's end to its log's

Task<> pause(asio::io_context& loop, Duration time) {
  asio::basic_waitable_timer<std::chrono::steady_clock, asio::wait_traits<std::chrono::steady_clock>, Executor> timer(
      loop.get_executor(), time);
  co_await timer.async_wait(kAwait);
}

// What the coroutines of one container share; they may outlive its Instance.
struct Watched {
  Found container;
  fs::path log_file;
  std::string bound;  // of memory, for people
  Instance::ExitHandler handler;
  std::shared_ptr<Call> wait = std::make_shared<Call>();
  std::shared_ptr<Call> log = std::make_shared<Call>();
  bool log_ended = false;
  bool killed = false;  // by us
  bool left = false;    // nobody watches it any more
};

Exit describe(const Watched& watched, const Found& ended) {
  Exit out;
  if (ended.out_of_memory) {
    out.out_of_memory = true;
    out.text = "it needed more memory than it may have" + watched.bound + " and was killed";
  } else if (ended.exit_code == 128 + SIGKILL) {
    out.from_outside = !watched.killed;
    out.text = "it was killed by signal 9 (Killed)";
  } else {
    out.text = "it exited with code " + std::to_string(ended.exit_code);
  }
  return out;
}

// Its output goes into the Replica's log file, as a process' does.
Task<> copy_log(std::shared_ptr<Api> api, std::shared_ptr<Watched> watched, bool from_start) {
  std::string from = from_start ? "" : "&tail=0";
  while (!watched->left) {
    const FileDescriptor fd(::open(watched->log_file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600));
    LogFrames frames;
    const Status ended = co_await api->follow(
        "/containers/" + watched->container.id + "/logs?follow=1&stdout=1&stderr=1" + from,
        [&](std::string_view piece) {
          frames.feed(piece, [&](std::string_view text) {
            while (!text.empty()) {
              const ssize_t written = ::write(fd.get(), text.data(), text.size());
              if (written <= 0) return;  // a full disk costs the log alone
              text.remove_prefix(static_cast<std::size_t>(written));
            }
          });
        },
        watched->log);
    if (ended.ok() || watched->left) break;
    from = "&tail=0";
    co_await pause(api->loop(), kAgain);
    auto now = co_await inspect(api, watched->container.id);
    if (now ? !now->running : now.error().code == ErrorCode::kNotFound) break;
  }
  watched->log_ended = true;
}

// Until it does not run any more; then it is removed, and whoever watches it told.
Task<> watch(std::shared_ptr<Api> api, std::shared_ptr<Watched> watched) {
  Found ended = watched->container;
  while (!watched->left) {
    auto waited =
        co_await api->ask("POST", "/containers/" + watched->container.id + "/wait", {}, Api::kForever, watched->wait);
    if (watched->left) co_return;
    auto found = co_await inspect(api, watched->container.id);
    if (found && !found->running) {
      ended = *found;
      break;
    }
    if (!found && found.error().code == ErrorCode::kNotFound) {
      ended.exit_code = 128 + SIGKILL;  // somebody removed it
      break;
    }
    co_await pause(api->loop(), kAgain);
  }
  for (const TimePoint until = now() + kLogRest; !watched->log_ended && now() < until && !watched->left;)
    co_await pause(api->loop(), milliseconds(10));
  if (watched->left) co_return;
  watched->log->abort();
  if (const Status removed = co_await remove(api, watched->container.id); !removed) log::warn(removed.error().message);
  if (watched->left) co_return;
  watched->left = true;
  const Instance::ExitHandler handler = std::move(watched->handler);
  if (handler) handler(describe(*watched, ended));
}

Task<> send_signal(std::shared_ptr<Api> api, std::string id, std::string name) {
  if (const Status sent = co_await signal(api, id, name); !sent) log::warn(sent.error().message);
}

// Seconds of processor time of the control group that a process is in.
Duration group_time(int pid) {
  const Root root;
  const Result<std::string> text = root.text("/proc/" + std::to_string(pid) + "/cgroup");
  if (pid <= 0 || !text) return {};
  for (const std::string_view line : lines_of(*text)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view controllers = line.substr(first + 1, second - first - 1);
    const std::string group(line.substr(second + 1));
    if (controllers.find("cpuacct") != std::string_view::npos) {
      if (const auto used = root.number("/sys/fs/cgroup/cpuacct" + group + "/cpuacct.usage"))
        return std::chrono::nanoseconds(*used);
    } else if (controllers.empty()) {
      const Result<std::string> stat = root.text("/sys/fs/cgroup" + group + "/cpu.stat");
      if (!stat) continue;
      for (const std::string_view entry : lines_of(*stat)) {
        const std::vector<std::string_view> words = words_of(entry);
        if (words.size() == 2 && words[0] == "usage_usec") return microseconds(leading_number(words[1]).value_or(0));
      }
    }
  }
  return {};
}

class Container : public Instance {
 public:
  Container(std::shared_ptr<Api> api, std::shared_ptr<Watched> watched, bool adopted, std::function<void()> on_left)
      : Instance(watched->container.port, watched->container.key),
        api_(std::move(api)),
        watched_(std::move(watched)),
        adopted_(adopted),
        on_left_(std::move(on_left)) {}
  ~Container() override {
    watched_->left = true;
    watched_->wait->abort();
    watched_->log->abort();
    on_left_();
  }

  [[nodiscard]] int pid() const override { return watched_->container.pid; }
  [[nodiscard]] std::string description() const override {
    return "container " + watched_->container.name + " (" + watched_->container.id.substr(0, 12) + ")";
  }
  [[nodiscard]] bool adopted() const override { return adopted_; }
  void on_exit(ExitHandler handler) override {
    watched_->handler = std::move(handler);
    spawn(api_->loop(), "a container's log", copy_log(api_, watched_, !adopted_),
          [watched = watched_](const std::string&) { watched->log_ended = true; });
    spawn(api_->loop(), "watching a container", watch(api_, watched_), [watched = watched_](const std::string& why) {
      if (std::exchange(watched->left, true)) return;
      const ExitHandler handler = std::move(watched->handler);
      if (handler) handler({.text = "it could not be watched: " + why});
    });
  }
  void terminate() override {
    spawn(api_->loop(), "a signal to a container", send_signal(api_, watched_->container.id, "SIGTERM"));
  }
  void kill() override {
    watched_->killed = true;
    spawn(api_->loop(), "a signal to a container", send_signal(api_, watched_->container.id, "SIGKILL"));
  }
  [[nodiscard]] Duration processor_time() const override { return group_time(watched_->container.pid); }

 private:
  std::shared_ptr<Api> api_;
  std::shared_ptr<Watched> watched_;
  bool adopted_;
  std::function<void()> on_left_;
};

class DockerLauncher : public Launcher {
 public:
  DockerLauncher(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, Daemon daemon)
      : state_(std::make_shared<State>(State{std::make_shared<Api>(loop, timers, resolver, std::move(daemon.socket)),
                                             owner_of(daemon.data),
                                             daemon.data / "containers",
                                             {}})),
        data_(std::move(daemon.data)) {}

  Status take_charge() override {
    if (charge_) return {};
    Result<FileLock> taken = docker::take_charge(data_);
    if (!taken) return taken.error();
    charge_.emplace(std::move(taken).value());
    return {};
  }

  void start(const ReplicaPlan& plan, Started done) override {
    const auto shared = std::make_shared<Started>(std::move(done));
    spawn(state_->api->loop(), "starting a container", start_one(state_, plan, shared),
          [shared](const std::string& why) {
            if (*shared) (*shared)(Error{ErrorCode::kInternal, "a fault of Spillway itself: " + why, {}});
          });
  }
  void keep_only(const std::set<std::string>& backends, FoundRunning found) override {
    std::error_code ec;
    if (fs::exists(state_->marker, ec))
      spawn(state_->api->loop(), "looking for containers", keep(state_, backends, std::move(found)));
  }

 private:
  struct State {
    std::shared_ptr<Api> api;
    std::string owner;
    fs::path marker;             // is there once a container of ours was made
    std::set<std::string> held;  // by Id: whom somebody here watches
  };

  static Task<> start_one(std::shared_ptr<State> state, ReplicaPlan plan, std::shared_ptr<Started> done) {
    Result<std::unique_ptr<Instance>> started = co_await launch(std::move(state), std::move(plan));
    const Started tell = std::exchange(*done, nullptr);
    tell(std::move(started));
  }

  static Task<Result<std::unique_ptr<Instance>>> launch(std::shared_ptr<State> state, ReplicaPlan plan) {
    const auto image = co_await obtain_image(state->api, image_of(plan), plan.backend.image_digest);
    if (!image) co_return image.error();
    const Result<Access> access = make_access();
    if (!access) co_return access.error();
    const ContainerSpec spec = make_container(plan, image->id, image->digest, state->owner, *access);

    auto ours = co_await list_ours(state->api, state->owner);
    if (!ours) co_return ours.error();
    for (const Found& found : *ours) {
      if (found.backend != plan.backend.name || state->held.contains(found.id)) continue;
      if (found.running && found.run == spec.run && found.port != 0) co_return hold(state, found, plan, true);
      if (const Status removed = co_await remove(state->api, found.id); !removed) co_return removed.error();
    }

    // Before gigabytes are read: what does not fit would be killed, and others with it.
    if (Status room = check_room(plan, memory_for_engines(true), "there is room for"); !room) co_return room.error();
    static_cast<void>(write_file_atomically(state->marker, state->api->socket() + "\n"));
    const auto id = co_await create_and_start(state->api, spec);
    if (!id) co_return id.error();
    auto found = co_await inspect(state->api, *id);
    if (!found) co_return found.error();
    found->port = access->port;
    found->key = access->key;
    co_return hold(state, *found, plan, false);
  }

  static std::unique_ptr<Instance> hold(const std::shared_ptr<State>& state, const Found& found,
                                        const ReplicaPlan& plan, bool adopted) {
    auto watched = std::make_shared<Watched>();
    watched->container = found;
    watched->log_file = plan.log_file;
    if (const std::uint64_t bound = plan.backend.replica_bound(); bound > 0)
      watched->bound = " (memory = \"" + std::to_string(bound >> 20) + "MiB\")";
    state->held.insert(found.id);
    return std::make_unique<Container>(state->api, std::move(watched), adopted,
                                       [state, id = found.id] { state->held.erase(id); });
  }

  static Task<> keep(std::shared_ptr<State> state, std::set<std::string> backends, FoundRunning found_running) {
    auto ours = co_await list_ours(state->api, state->owner);
    if (!ours) {
      log::warn(ours.error().message);
      co_return;
    }
    for (const Found& found : *ours) {
      if (state->held.contains(found.id)) continue;
      if (backends.contains(found.backend)) {
        if (found.running) found_running(found.backend);
        continue;
      }
      log::info(found.backend + ": nobody wants its container " + found.name + " any more; removing it");
      if (const Status removed = co_await remove(state->api, found.id); !removed) log::warn(removed.error().message);
    }
  }

  std::shared_ptr<State> state_;
  fs::path data_;
  std::optional<FileLock> charge_;
};

}  // namespace

std::unique_ptr<Launcher> make_launcher(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver,
                                        Daemon daemon) {
  return std::make_unique<DockerLauncher>(loop, timers, resolver, std::move(daemon));
}

}  // namespace spillway::fleet::docker
