#include "fleet/supervisor.h"

#include <algorithm>
#include <utility>

namespace spillway::fleet {

namespace {

std::string seconds_text(Duration duration) {
  const auto tenths = std::chrono::duration_cast<milliseconds>(duration).count() / 100;
  return std::to_string(tenths / 10) + (tenths % 10 == 0 ? "" : "." + std::to_string(tenths % 10)) + " s";
}

void append_reason(std::string& text, const std::string& reason) {
  if (!reason.empty()) text += ": " + reason;
}

}  // namespace

Duration full_jitter(int step, Duration base, Duration limit, double uniform01) {
  Duration cap = base;
  for (int i = 1; i < step && cap < limit; ++i) cap *= 2;
  cap = std::min(cap, limit);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double, Duration::period>(cap) * uniform01);
}

std::vector<Action> Supervisor::handle(const Event& event, TimePoint now, double uniform01) {
  Actions out;
  switch (event.kind) {
    case Event::Kind::kStart:
      if (phase_ == Phase::kIdle) launch(out);
      break;
    case Event::Kind::kStarted:
      if (phase_ == Phase::kLaunching) handle_started(now, out);
      break;
    case Event::Kind::kNotStarted:
      if (phase_ == Phase::kLaunching) handle_exit(event, now, uniform01, out);
      break;
    case Event::Kind::kProbeOk:
    case Event::Kind::kProbeNotYet:
    case Event::Kind::kProbeFailed:
      if (phase_ == Phase::kProbing && probing_ && event.start == starts_) handle_probe(event, now, out);
      break;
    case Event::Kind::kHung:
      if (phase_ == Phase::kReady) give_up(event.text, out);
      break;
    case Event::Kind::kExited: handle_exit(event, now, uniform01, out); break;
    case Event::Kind::kTimer:
      if (now >= timer_) handle_timer(now, out);
      break;
    case Event::Kind::kStop: handle_stop(now, out); break;
  }
  return out;
}

void Supervisor::enter(Phase phase, Actions& out) {
  phase_ = phase;
  out.push_back({.kind = Action::Kind::kReport});
}

void Supervisor::arm(TimePoint at, Actions& out) {
  timer_ = at;
  out.push_back({.kind = Action::Kind::kArmTimer, .at = at});
}

void Supervisor::launch(Actions& out) {
  ++starts_;
  timer_ = TimePoint::max();
  not_yet_.clear();
  probing_ = was_ready_ = false;
  phase_ = Phase::kLaunching;
  out.push_back({.kind = Action::Kind::kStartProcess});
}

void Supervisor::handle_started(TimePoint now, Actions& out) {
  started_at_ = now;
  start_deadline_ = now + timing_.start_timeout;
  if (stop_wanted_) {
    terminate(now, out);
    return;
  }
  arm_probe(now, out);
  enter(Phase::kProbing, out);
}

void Supervisor::arm_probe(TimePoint now, Actions& out) {
  const bool fast = now - started_at_ < timing_.probe_fast_for;
  arm(std::min(now + (fast ? timing_.probe_interval : timing_.probe_slow_interval), start_deadline_), out);
}

void Supervisor::handle_probe(const Event& event, TimePoint now, Actions& out) {
  probing_ = false;
  if (event.kind == Event::Kind::kProbeOk) {
    failed_starts_ = 0;
    was_ready_ = true;
    ready_at_ = now;
    timer_ = TimePoint::max();
    enter(Phase::kReady, out);
  } else if (event.kind == Event::Kind::kProbeFailed) {
    give_up(event.text, out);
  } else {
    not_yet_ = event.text;
    arm_probe(now, out);
  }
}

void Supervisor::handle_timer(TimePoint now, Actions& out) {
  timer_ = TimePoint::max();
  if (phase_ == Phase::kWaiting) {
    launch(out);
  } else if (phase_ == Phase::kStopping) {
    out.push_back({.kind = Action::Kind::kKill});
  } else if (phase_ == Phase::kProbing && now >= start_deadline_) {
    std::string why = "it was not ready within " + seconds_text(timing_.start_timeout);
    append_reason(why, not_yet_);
    give_up(std::move(why), out);
  } else if (phase_ == Phase::kProbing) {
    probing_ = true;
    arm(start_deadline_, out);
    out.push_back({.kind = Action::Kind::kProbe, .start = starts_});
  }
}

void Supervisor::give_up(std::string why, Actions& out) {
  detail_ = std::move(why);
  timer_ = TimePoint::max();
  out.push_back({.kind = Action::Kind::kKill});
  enter(Phase::kKilling, out);
}

// Also for a process that could not be made.
void Supervisor::handle_exit(const Event& event, TimePoint now, double uniform01, Actions& out) {
  const Phase was = phase_;
  probing_ = false;
  switch (was) {
    case Phase::kIdle:
    case Phase::kWaiting:
    case Phase::kStopped: return;
    case Phase::kStopping: break;
    case Phase::kKilling: append_reason(detail_, event.log); break;
    case Phase::kLaunching:
    case Phase::kProbing:
    case Phase::kReady:
      detail_ = event.text;
      append_reason(detail_, event.log);
      break;
  }
  if (stop_wanted_) {
    timer_ = TimePoint::max();
    enter(Phase::kStopped, out);
    return;
  }
  if (!was_ready_) {
    ++failed_starts_;
  } else if (now - ready_at_ >= timing_.stable_after) {
    backoff_step_ = 0;
  }
  wait_for_restart(now, uniform01, out);
}

void Supervisor::wait_for_restart(TimePoint now, double uniform01, Actions& out) {
  ++backoff_step_;
  arm(now + full_jitter(backoff_step_, timing_.backoff_base, timing_.backoff_limit, uniform01), out);
  enter(Phase::kWaiting, out);
}

void Supervisor::handle_stop(TimePoint now, Actions& out) {
  if (stop_wanted_) return;
  stop_wanted_ = true;
  switch (phase_) {
    case Phase::kIdle:
    case Phase::kWaiting:
      timer_ = TimePoint::max();
      enter(Phase::kStopped, out);
      break;
    case Phase::kProbing:
    case Phase::kReady: terminate(now, out); break;
    case Phase::kKilling: enter(Phase::kStopping, out); break;
    case Phase::kLaunching:  // once it is known whether there is something to end
    case Phase::kStopping:
    case Phase::kStopped: break;
  }
}

void Supervisor::terminate(TimePoint now, Actions& out) {
  out.push_back({.kind = Action::Kind::kTerminate});
  arm(now + timing_.stop_grace, out);
  enter(Phase::kStopping, out);
}

}  // namespace spillway::fleet
