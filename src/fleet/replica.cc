#include "fleet/replica.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <utility>

#include "base/file.h"
#include "base/ids.h"
#include "base/log.h"

namespace spillway::fleet {

namespace {

constexpr std::size_t kKeyBytes = 24;
constexpr std::uint64_t kStartLog = 1u << 20;  // all that an engine says while it loads
constexpr std::uint64_t kLogTail = 64u << 10;  // the reason of a failed start is in the last few lines

// A port that is free now. Somebody may take it before the engine does: then the engine cannot
// bind, which is a failed start, and the next one gets another port.
Result<std::uint16_t> pick_port() {
  const FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!fd.valid() || ::bind(fd.get(), any, size) != 0 || ::getsockname(fd.get(), any, &size) != 0) {
    return system_error("cannot find a free port on", "127.0.0.1", errno);
  }
  return ntohs(address.sin_port);
}

std::vector<std::string> inherited_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

// "120 ms", "2.1 s".
std::string duration_text(Duration duration) {
  char text[32];
  const double ms = to_ms(duration);
  if (ms < 1000) {
    std::snprintf(text, sizeof text, "%.0f ms", ms);
  } else {
    std::snprintf(text, sizeof text, "%.1f s", ms / 1000);
  }
  return text;
}

double random01() { return static_cast<double>(random_u64() >> 11) * 0x1.0p-53; }

}  // namespace

std::string_view to_string(ReplicaStatus::State state) {
  switch (state) {
    case ReplicaStatus::State::kStarting: return "starting";
    case ReplicaStatus::State::kReady: return "ready";
    case ReplicaStatus::State::kFailing: return "failing";
    case ReplicaStatus::State::kStopped: return "stopped";
    case ReplicaStatus::State::kUnloaded: return "unloaded";
  }
  return "?";
}

Replica::Replica(boost::asio::io_context& loop, ReplicaPlan plan, Probe probe, const Supervisor::Timing& timing,
                 std::function<void()> on_change)
    : loop_(loop),
      plan_(std::move(plan)),
      probe_(std::move(probe)),
      on_change_(std::move(on_change)),
      supervisor_(timing),
      log_file_(plan_.log_file),
      timer_(loop),
      log_timer_(loop),
      self_(std::make_shared<Replica*>(this)) {
  supervisor_.set_start_timeout(plan_.backend.start_timeout);
}

Replica::~Replica() = default;

void Replica::start() {
  check_log_size();
  feed({.kind = Event::Kind::kStart});
}

void Replica::stop() { feed({.kind = Event::Kind::kStop}); }

void Replica::adopt(const ReplicaPlan& plan) {
  plan_ = plan;
  supervisor_.set_start_timeout(plan_.backend.start_timeout);
}

ReplicaStatus Replica::status() const {
  using Phase = Supervisor::Phase;
  ReplicaStatus out;
  out.backend = plan_.backend.name;
  out.model = plan_.backend.model;
  const Phase phase = supervisor_.phase();
  if (phase == Phase::kReady) {
    out.state = ReplicaStatus::State::kReady;
    out.port = port_;
    out.key = key_;
  } else if (phase == Phase::kStopping || phase == Phase::kStopped) {
    out.state = ReplicaStatus::State::kStopped;
  } else if (supervisor_.failing()) {
    out.state = ReplicaStatus::State::kFailing;
  }
  out.pid = process_ ? process_->pid() : 0;
  out.restarts = supervisor_.starts() > 0 ? supervisor_.starts() - 1 : 0;
  out.detail = supervisor_.detail();
  out.memory = measured_ ? *measured_ : plan_.memory;
  out.measured = measured_.has_value();
  return out;
}

// Carrying out an action may lead to the next event at once: those wait for their turn.
void Replica::feed(Event event) {
  events_.push_back(std::move(event));
  if (draining_) return;
  draining_ = true;
  drain_events();
  draining_ = false;
}

void Replica::drain_events() {
  while (!events_.empty()) {
    const Event event = std::move(events_.front());
    events_.pop_front();
    const Supervisor::Phase before = supervisor_.phase();
    const std::vector<Action> actions = supervisor_.handle(event, now(), random01());
    if (supervisor_.phase() != before) tell_transition(before);
    for (const Action& action : actions) perform(action);
  }
}

void Replica::perform(const Action& action) {
  switch (action.kind) {
    case Action::Kind::kStartProcess: launch(); break;
    case Action::Kind::kProbe: probe(action.start); break;
    case Action::Kind::kArmTimer: arm(action.at); break;
    case Action::Kind::kTerminate:
      if (process_) process_->kill_group(SIGTERM);
      break;
    case Action::Kind::kKill:
      if (process_) process_->kill_group(SIGKILL);
      break;
    case Action::Kind::kReport: post_change(); break;
  }
}

void Replica::launch() {
  if (Status started = start_process(); !started) {
    process_.reset();
    const Error& error = started.error();
    feed({.kind = Event::Kind::kNotStarted,
          .text = error.message + (error.hint.empty() ? "" : " (" + error.hint + ")")});
    return;
  }
  log::info(plan_.backend.name + ": starting " + plan_.program.filename().string() + " with " +
            plan_.model.display_name() + " on 127.0.0.1:" + std::to_string(port_) + ", pid " +
            std::to_string(process_->pid()));
  feed({.kind = Event::Kind::kStarted});
}

Status Replica::start_process() {
  const Result<std::uint16_t> port = pick_port();
  if (!port) return port.error();
  port_ = *port;
  key_ = random_secret(kKeyBytes);
  // Before gigabytes are read: what does not fit would be killed, and others with it.
  if (Status room = check_room(plan_, memory_for_engines(true), "there is room for"); !room) {
    lacks_memory_ = true;
    return room;
  }
  lacks_memory_ = false;
  log_file_.rotate_if_large();
  log_file_.mark();
  const EngineStart start{plan_.backend, plan_.model, port_, key_};
  Result<std::unique_ptr<Process>> process =
      Process::start(loop_, {plan_.program, plan_.engine->arguments(start),
                             plan_.engine->environment(inherited_environment(), start), plan_.log_file});
  if (!process) return process.error();
  process_ = std::move(process).value();
  process_->on_exit([this](ExitStatus status) { handle_exit(status); });
  return {};
}

void Replica::handle_exit(ExitStatus status) {
  process_.reset();
  Event event{.kind = Event::Kind::kExited, .text = "it " + status.to_string()};
  // What an engine wrote while it was well says nothing about a SIGKILL from outside.
  if (!ready() || status.signal != SIGKILL) event.log = plan_.engine->failure_text(log_file_.tail(kLogTail));
  feed(std::move(event));
}

void Replica::probe(int start) {
  probe_({port_, key_, plan_.backend.model, std::string(plan_.engine->health_path())},
         [weak = std::weak_ptr<Replica*>(self_), start](const Status& result) {
           const std::shared_ptr<Replica*> self = weak.lock();
           if (!self) return;
           if (result.ok()) {
             (*self)->feed({.kind = Event::Kind::kProbeOk, .start = start});
             return;
           }
           const bool later = result.error().code == ErrorCode::kUnavailable;
           (*self)->feed({.kind = later ? Event::Kind::kProbeNotYet : Event::Kind::kProbeFailed,
                          .start = start,
                          .text = result.error().message});
         });
}

void Replica::arm(TimePoint at) {
  timer_.expires_at(at);
  timer_.async_wait([weak = std::weak_ptr<Replica*>(self_)](const boost::system::error_code& error) {
    const std::shared_ptr<Replica*> self = weak.lock();
    if (self && !error) (*self)->feed({.kind = Event::Kind::kTimer});
  });
}

void Replica::check_log_size() {
  log_file_.rotate_if_large();
  log_timer_.expires_after(kLogCheck);
  log_timer_.async_wait([weak = std::weak_ptr<Replica*>(self_)](const boost::system::error_code& error) {
    const std::shared_ptr<Replica*> self = weak.lock();
    if (self && !error && !(*self)->ended()) (*self)->check_log_size();
  });
}

// One line of the program's log for what a person wants to know.
void Replica::tell_transition(Supervisor::Phase before) {
  using Phase = Supervisor::Phase;
  const std::string name = plan_.backend.name + ": ";
  switch (supervisor_.phase()) {
    case Phase::kReady:
      log::info(name + "ready after " + duration_text(now() - supervisor_.started_at()));
      note_memory();
      break;
    case Phase::kWaiting: {
      const bool failed_for_long = before != Phase::kReady && supervisor_.failing();
      const std::string line =
          name + supervisor_.detail() + "; restarting in " + duration_text(supervisor_.next_timer() - now());
      if (failed_for_long) {
        log::error(line + ", after " + std::to_string(supervisor_.failed_starts()) +
                   " failed starts; the engine's log is " + plan_.log_file.string());
      } else {
        log::warn(line);
      }
      break;
    }
    case Phase::kStopping: log::info(name + "stopping"); break;
    case Phase::kStopped:
      if (before != Phase::kIdle) log::info(name + "stopped");
      break;
    case Phase::kKilling:
    case Phase::kIdle:
    case Phase::kLaunching:
    case Phase::kProbing: break;
  }
}

void Replica::note_memory() {
  measured_ = plan_.engine->reported_memory(log_file_.tail(kStartLog));
  if (measured_ && plan_.shape && on_measured_) on_measured_(plan_, *measured_);
}

// Later, and once for several changes in a row: the handler sees the state that holds then.
void Replica::post_change() {
  if (std::exchange(change_posted_, true)) return;
  boost::asio::post(loop_, [weak = std::weak_ptr<Replica*>(self_)] {
    const std::shared_ptr<Replica*> self = weak.lock();
    if (!self) return;
    (*self)->change_posted_ = false;
    const std::function<void()> on_change = (*self)->on_change_;
    on_change();
  });
}

}  // namespace spillway::fleet
