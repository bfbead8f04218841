#include "fleet/replica.h"

#include <boost/asio/post.hpp>
#include <cstdio>
#include <utility>

#include "base/ids.h"
#include "base/log.h"

namespace spillway::fleet {

namespace {

constexpr std::uint64_t kStartLog = 1u << 20;  // all that an engine says while it loads
constexpr std::uint64_t kLogTail = 64u << 10;  // the reason of a failed start is in the last few lines

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

Replica::Replica(boost::asio::io_context& loop, Launcher& launcher, ReplicaPlan plan, Probe probe,
                 const Supervisor::Timing& timing, std::function<void()> on_change)
    : loop_(loop),
      launcher_(launcher),
      plan_(std::move(plan)),
      probe_(std::move(probe)),
      on_change_(std::move(on_change)),
      timing_(timing),
      supervisor_(timing),
      log_file_(plan_.log_file),
      timer_(loop),
      log_timer_(loop),
      watch_timer_(loop),
      hang_watch_(plan_.backend.hang_timeout),
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
  const std::filesystem::path log_file = plan_.log_file;
  const milliseconds hang_timeout = plan_.backend.hang_timeout;
  plan_ = plan;
  plan_.log_file = log_file;
  if (ready() && plan_.backend.hang_timeout != hang_timeout) begin_watch();
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
    out.port = instance_->port();
    out.key = instance_->key();
  } else if (phase == Phase::kStopping || phase == Phase::kStopped) {
    out.state = ReplicaStatus::State::kStopped;
  } else if (supervisor_.failing()) {
    out.state = ReplicaStatus::State::kFailing;
  }
  out.pid = instance_ ? instance_->pid() : 0;
  out.restarts = supervisor_.starts() > 0 ? supervisor_.starts() - 1 : 0;
  out.detail = supervisor_.detail();
  out.memory = measured_ ? *measured_ : plan_.memory;
  out.measured = measured_.has_value();
  const HeldPrompts held = plan_.engine->held_prompts(plan_.backend, plan_.model);
  out.slots = held.slots;
  if (held.slots > 0 && out.memory.cache > 0) {
    const double tokens = static_cast<double>(plan_.backend.context) * held.slots;  // that the cache of all slots takes
    out.kept_tokens =
        static_cast<std::uint64_t>(static_cast<double>(held.bytes) / static_cast<double>(out.memory.cache) * tokens);
  }
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
      if (instance_) instance_->terminate();
      break;
    case Action::Kind::kKill:
      if (instance_) instance_->kill();
      break;
    case Action::Kind::kReport: post_change(); break;
  }
}

void Replica::launch() {
  log_file_.rotate_if_large();
  log_file_.mark();
  launcher_.start(plan_, [weak = std::weak_ptr<Replica*>(self_)](Result<std::unique_ptr<Instance>> launched) {
    // Without us nobody watches it: it ends with `launched`, or is found by the next process.
    if (const std::shared_ptr<Replica*> self = weak.lock()) (*self)->handle_launched(std::move(launched));
  });
}

void Replica::handle_launched(Result<std::unique_ptr<Instance>> launched) {
  lacks_memory_ = !launched && launched.error().code == ErrorCode::kResourceExhausted;
  if (!launched) {
    const Error& error = launched.error();
    feed({.kind = Event::Kind::kNotStarted,
          .text = error.message + (error.hint.empty() ? "" : " (" + error.hint + ")")});
    return;
  }
  instance_ = std::move(launched).value();
  instance_->on_exit([this](Exit exit) { handle_exit(std::move(exit)); });
  const std::string where = plan_.model.display_name() + " on 127.0.0.1:" + std::to_string(instance_->port()) + ", " +
                            instance_->description();
  log::info(plan_.backend.name + (instance_->adopted() ? ": found running: " : ": starting ") +
            plan_.program.filename().string() + " with " + where);
  feed({.kind = Event::Kind::kStarted});
}

void Replica::handle_exit(Exit exit) {
  instance_.reset();
  Event event{.kind = Event::Kind::kExited, .text = std::move(exit.text)};
  // What an engine wrote while it was well says nothing about a SIGKILL from outside.
  if (!exit.out_of_memory && (!ready() || !exit.from_outside))
    event.log = plan_.engine->failure_text(log_file_.tail(kLogTail));
  feed(std::move(event));
}

void Replica::probe(int start) {
  probe_({instance_->port(), instance_->key(), plan_.backend.model, std::string(plan_.engine->health_path())},
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

void Replica::begin_watch() {
  hang_watch_ = HangWatch(plan_.backend.hang_timeout);
  hang_watch_.begin(now(), instance_->processor_time());
  asking_for_health_ = false;
  watch_timer_.cancel();
  if (plan_.backend.hang_timeout.count() > 0) watch();
}

// Again and again, as long as it is ready.
void Replica::watch() {
  watch_timer_.expires_after(timing_.watch_interval);
  watch_timer_.async_wait([weak = std::weak_ptr<Replica*>(self_)](const boost::system::error_code& error) {
    const std::shared_ptr<Replica*> self = weak.lock();
    if (!self || error || !(*self)->ready()) return;
    Replica& replica = **self;
    const Work work = replica.work_ ? replica.work_() : Work{};
    const bool asked = work.inside > 0 || work.admitted != replica.admitted_;
    replica.admitted_ = work.admitted;
    replica.watch();
    if (!std::exchange(replica.asking_for_health_, true)) replica.ask(ProbeRequest::What::kHealth);
    replica.obey(replica.hang_watch_.look({replica.instance_->processor_time(), asked}, now()));
  });
}

void Replica::ask(ProbeRequest::What what) {
  ProbeRequest request{
      instance_->port(), instance_->key(), plan_.backend.model, std::string(plan_.engine->health_path()), what,
      kHangProbe};
  probe_(std::move(request),
         [weak = std::weak_ptr<Replica*>(self_), what, start = supervisor_.starts()](Status result) {
           const std::shared_ptr<Replica*> self = weak.lock();
           if (!self || !(*self)->ready() || (*self)->supervisor_.starts() != start) return;
           Replica& replica = **self;
           // One that refuses is not silent.
           const bool answered = result.ok() || result.error().code != ErrorCode::kUnavailable;
           if (what == ProbeRequest::What::kHealth) {
             replica.asking_for_health_ = false;
             replica.obey(replica.hang_watch_.health(result.ok(), now()));
           } else {
             replica.obey(replica.hang_watch_.completion(answered, now()));
           }
         });
}

void Replica::obey(HangWatch::Step step) {
  if (step == HangWatch::Step::kAskCompletion) ask(ProbeRequest::What::kCompletion);
  if (step == HangWatch::Step::kHung && ready()) feed({.kind = Event::Kind::kHung, .text = hang_watch_.why()});
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
      begin_watch();
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
