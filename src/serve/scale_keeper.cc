#include "serve/scale_keeper.h"

#include <algorithm>
#include <set>

#include "base/log.h"
#include "fleet/plan.h"

namespace spillway::serve {

namespace {

using State = fleet::ReplicaStatus::State;

const fleet::ReplicaStatus* serving(const std::vector<fleet::ReplicaStatus>& replicas, const std::string& backend) {
  const auto found = std::ranges::find_if(
      replicas, [&](const fleet::ReplicaStatus& replica) { return replica.serving && replica.backend == backend; });
  return found == replicas.end() ? nullptr : &*found;
}

// Names of Backends elsewhere that stand in a Route with one of `members`.
std::vector<std::string> providers_beside(const config::Config& config, const std::vector<config::Backend>& members) {
  std::set<std::string> out;
  for (const config::Route& route : config.routes) {
    const bool concerned = std::ranges::any_of(route.targets, [&](const config::Target& target) {
      return std::ranges::any_of(members, [&](const config::Backend& each) { return each.name == target.backend; });
    });
    if (!concerned) continue;
    for (const config::Target& target : route.targets) {
      const auto found = std::ranges::find(config.backends, target.backend, &config::Backend::name);
      if (found != config.backends.end() && !found->is_local()) out.insert(found->name);
    }
  }
  return {out.begin(), out.end()};
}

}  // namespace

ScaleKeeper::ScaleKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions)
    : timers_(timers), fleet_(fleet), conditions_(conditions), timer_(timers_, [this] { look(); }) {}

ScaleKeeper::~ScaleKeeper() { stop(); }

void ScaleKeeper::keep(const config::Config& config) {
  timer_.disarm();
  std::map<std::string, Group> next;
  for (const config::Backend& backend : config.backends) {
    if (!backend.spare) continue;
    const auto [entry, is_new] = next.try_emplace(backend.member_of);
    if (!is_new) continue;
    Group& group = entry->second;
    if (const auto before = groups_.find(backend.member_of); before != groups_.end()) {
      group = std::move(before->second);
      group.members.clear();
    }
    std::ranges::copy_if(config.backends, std::back_inserter(group.members),
                         [&](const config::Backend& each) { return each.member_of == backend.member_of; });
    group.providers = providers_beside(config, group.members);
    group.scaler.set(config.autoscale);
    group.signals = signals_of(group, fleet_.status());
  }
  groups_ = std::move(next);
  if (groups_.empty()) return;
  timer_.arm(now() + kEvery);
}

void ScaleKeeper::stop() {
  timer_.disarm();
  groups_.clear();
}

void ScaleKeeper::look() {
  const std::vector<fleet::ReplicaStatus> replicas = fleet_.status();
  for (auto& [name, group] : groups_) look_at(name, group, replicas);
  timer_.arm(now() + kEvery);
}

// Since the last look; nothing at the first one at an engine.
std::optional<double> ScaleKeeper::share_of_processors(Group& group, const fleet::ReplicaStatus& replica) {
  const std::optional<fleet::Fleet::Usage> usage = fleet_.usage(replica.backend);
  if (!usage) return std::nullopt;
  Used& before = group.used[replica.backend];
  const Used current{replica.pid, usage->processor_time, now()};
  const bool known = before.pid == current.pid && before.at != TimePoint{};
  const double share = known && usage->processors > 0 ? to_ms(current.processor_time - before.processor_time) /
                                                            to_ms(current.at - before.at) / usage->processors
                                                      : 0;
  before = current;
  return known ? std::optional(std::clamp(share, 0.0, 1.0)) : std::nullopt;
}

fleet::ScaleSignals ScaleKeeper::signals_of(Group& group, const std::vector<fleet::ReplicaStatus>& replicas) {
  fleet::ScaleSignals out;
  out.always = 0;
  out.gpu = gpus_.read(group.members.front().gpus);
  double cpu = 0;
  int measured = 0;
  Duration soonest = Duration::max();
  for (const config::Backend& member : group.members) {
    out.slots = member.parallel;
    (member.spare ? out.spare : out.always) += 1;
    const fleet::ReplicaStatus* const replica = serving(replicas, member.name);
    if (replica == nullptr) continue;
    if (replica->state == State::kUnloaded) {
      if (replica->memory.total() > 0) out.room = fleet::memory_for_engines(true) >= replica->memory.total();
      continue;
    }
    if (member.spare) ++out.started;
    if (replica->state == State::kStarting) ++out.starting;
    if (const auto share = share_of_processors(group, *replica)) {
      cpu += *share;
      ++measured;
    }
    backend::Condition& condition = *conditions_.of(member.name);
    const admit::Gate::Numbers numbers = condition.gate().numbers(now());
    out.inside += numbers.inside;
    for (const std::size_t waiting : numbers.waiting) out.waiting += static_cast<int>(waiting);
    out.wait = std::max<Duration>(out.wait, numbers.wait);
    const milliseconds answers_in(static_cast<std::int64_t>(condition.expected_ms(now())));
    soonest = std::min<Duration>(soonest, numbers.wait + answers_in);
  }
  if (soonest != Duration::max()) out.first_token = soonest;
  if (measured > 0) out.cpu = cpu / measured;
  for (const std::string& provider : group.providers) {
    backend::Condition& condition = *conditions_.of(provider);
    if (condition.share() < 1 || condition.failures() >= kFailsInARow) out.troubled = provider;
  }
  return out;
}

void ScaleKeeper::look_at(const std::string& name, Group& group, const std::vector<fleet::ReplicaStatus>& replicas) {
  group.signals = signals_of(group, replicas);
  const fleet::Autoscaler::Decision decision = group.scaler.decide(group.signals, now());
  if (decision.held != group.held && !decision.held.empty()) log::info(name + ": " + decision.held);
  group.held = decision.held;
  if (decision.change == 0) return;
  // Up: the first that does not run; down: the last that does.
  std::vector<const config::Backend*> candidates;
  for (const config::Backend& member : group.members) {
    const fleet::ReplicaStatus* const replica = member.spare ? serving(replicas, member.name) : nullptr;
    const bool runs = replica != nullptr && replica->state != State::kUnloaded;
    if (replica != nullptr && runs == (decision.change < 0)) candidates.push_back(&member);
  }
  if (candidates.empty()) return;
  const int count = group.signals.always + group.signals.started + decision.change;
  log::info(name + ": " + (decision.change > 0 ? "one more replica, " : "one replica less, ") + std::to_string(count) +
            " of at most " + std::to_string(group.members.size()) + ": " + decision.reason);
  group.decisions.push_front({now(), decision.change, count, decision.reason});
  if (group.decisions.size() > kRemembered) group.decisions.pop_back();
  if (decision.change > 0) {
    fleet_.load(candidates.front()->name);
  } else {
    fleet_.unload(candidates.back()->name);
  }
}

std::vector<admin::ScaleStatus> ScaleKeeper::status() const {
  std::vector<admin::ScaleStatus> out;
  for (const auto& [name, group] : groups_) {
    admin::ScaleStatus told;
    told.backend = name;
    told.replicas = group.signals.always + group.signals.started;
    told.least = group.signals.always;
    told.most = static_cast<int>(group.members.size());
    told.cpu = group.scaler.cpu();
    told.held = group.held;
    for (const Decided& each : group.decisions)
      told.decisions.push_back({to_ms(now() - each.at) / 1e3, each.change, each.replicas, each.reason});
    out.push_back(std::move(told));
  }
  return out;
}

}  // namespace spillway::serve
