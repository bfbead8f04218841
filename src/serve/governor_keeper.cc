#include "serve/governor_keeper.h"

#include <algorithm>

namespace spillway::serve {

GovernorKeeper::GovernorKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions)
    : timers_(timers), fleet_(fleet), conditions_(conditions), timer_(timers_, [this] { look(); }) {}

GovernorKeeper::~GovernorKeeper() { timer_.disarm(); }

void GovernorKeeper::keep(const config::Config& config) {
  std::map<std::string, Governed> next;
  set_point_ = config.governor.set_point;
  if (config.governor.on) {
    for (const config::Backend& backend : config.backends) {
      if (!backend.is_local()) continue;
      Governed& governed = next[backend.name];
      if (const auto before = governed_.find(backend.name); before != governed_.end()) governed = before->second;
      governed.backend = backend;
      governed.governor.set(set_point_, backend.parallel);
    }
  }
  for (const auto& [name, governed] : governed_) {
    if (!next.contains(name)) conditions_.of(name)->gate().set_caps(admit::Gate::kNoCaps, now());
  }
  governed_ = std::move(next);
  timer_.disarm();
  if (!governed_.empty()) timer_.arm(now() + kEvery);
}

void GovernorKeeper::stop() {
  timer_.disarm();
  for (const auto& [name, governed] : governed_) conditions_.of(name)->gate().set_caps(admit::Gate::kNoCaps, now());
  governed_.clear();
}

void GovernorKeeper::look() {
  for (const fleet::ReplicaStatus& replica : fleet_.status()) {
    const auto found = governed_.find(replica.backend);
    if (found != governed_.end() && replica.serving && replica.state == fleet::ReplicaStatus::State::kReady)
      look_at(found->second, replica.restarts);
  }
  timer_.arm(now() + kEvery);
}

void GovernorKeeper::look_at(Governed& governed, int starts) {
  const std::optional<fleet::Fleet::Usage> usage = fleet_.usage(governed.backend.name);
  if (!usage || usage->processors <= 0) return;
  const TimePoint at = now();
  const bool known = governed.starts == starts && governed.at != TimePoint{};
  const Duration passed = at - governed.at;
  const Duration used = usage->processor_time - governed.processor_time;
  governed.starts = starts;
  governed.processor_time = usage->processor_time;
  governed.at = at;
  if (!known || passed.count() <= 0) return;
  const std::optional<double> gpu = gpus_.any() ? gpus_.read(governed.backend.gpus) : std::nullopt;
  // The kernel counts in hundredths of a second: one look may see more than all, the next one less.
  const double use = gpu ? *gpu : std::max(to_ms(used) / to_ms(passed) / usage->processors, 0.0);
  governed.governor.note(use, passed);
  conditions_.of(governed.backend.name)->gate().set_caps(governed.governor.caps(), at);
}

void GovernorKeeper::describe(admin::Status& status) const {
  for (admin::BackendStatus& backend : status.backends) {
    const auto found = governed_.find(backend.name);
    if (found == governed_.end() || backend.state != "ready") continue;
    const fleet::Governor& governor = found->second.governor;
    backend.governed = true;
    backend.set_point = set_point_;
    backend.use = governor.mean();
    backend.cap = governor.caps()[static_cast<std::size_t>(admit::Priority::kNormal)];
  }
}

}  // namespace spillway::serve
