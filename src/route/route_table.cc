#include "route/route_table.h"

#include <algorithm>

#include "base/json_text.h"
#include "base/mutex.h"
#include "base/text.h"
#include "config/values.h"

namespace spillway::route {

namespace {

bool is_glob(std::string_view pattern) { return pattern.find_first_of("*?") != std::string_view::npos; }

std::size_t specificity(std::string_view pattern) {
  return static_cast<std::size_t>(
      std::count_if(pattern.begin(), pattern.end(), [](char c) { return c != '*' && c != '?'; }));
}

// Exact names first, then the longest literal text, then those with a label.
bool goes_before(const Route& a, const Route& b) {
  const bool glob_a = is_glob(a.settings.model);
  const bool glob_b = is_glob(b.settings.model);
  if (glob_a != glob_b) return glob_b;
  const std::size_t literal_a = specificity(a.settings.model);
  const std::size_t literal_b = specificity(b.settings.model);
  if (glob_a && literal_a != literal_b) return literal_a > literal_b;
  return !a.settings.workload.empty() && b.settings.workload.empty();
}

void find_groups(Route& route, PrefixMaps* prefixes) {
  for (std::size_t i = 0; i < route.targets.size();) {
    const config::Backend& backend = route.targets[i].backend->settings();
    std::size_t end = i + 1;
    while (backend.replica > 0 && end < route.targets.size() &&
           route.targets[end].backend->settings().member_of == backend.member_of &&
           route.targets[end].backend->settings().replica > 0) {
      ++end;
    }
    if (end - i > 1) {
      route.groups.push_back(
          {i, end - i, backend.balance == "prefix" && prefixes != nullptr ? prefixes->of(backend.member_of) : nullptr});
    }
    i = end;
  }
}

std::string as_json(const std::string& text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

}  // namespace

std::shared_ptr<PrefixMap> PrefixMaps::of(const std::string& backend) {
  const MutexLock lock(mutex_);
  std::shared_ptr<PrefixMap>& map = all_[backend];
  if (!map) map = std::make_shared<PrefixMap>();
  return map;
}

RouteTable::RouteTable(const config::Config& config, const Backends& backends, record::ThreadMetrics& metrics,
                       PrefixMaps* prefixes) {
  for (const config::Route& settings : config.routes) {
    Route route;
    route.settings = settings;
    route.policy = find_policy(settings.policy);
    route.hedge_after = config::parse_duration(settings.hedge).value_or(milliseconds(0));
    const std::string name = settings.workload.empty() ? settings.model : settings.model + "#" + settings.workload;
    route.series = &metrics.route(name);
    route.deadline = settings.timeouts.deadline.value_or(config.defaults.deadline);
    for (const config::Target& wanted : settings.targets) {
      const auto found = backends.find(wanted.backend);
      if (found == backends.end()) continue;  // refused when the Config was read
      const config::Backend& backend = found->second->settings();
      Target target;
      target.backend = found->second;
      std::string model = wanted.model;
      if (model.empty() && backend.is_local()) model = backend.model;
      if (!model.empty()) target.quoted_model = as_json(model);
      target.unless_listed = wanted.unless_listed;
      target.breaker = &target.backend->condition().breaker(model);
      target.breaker->set(config.breaker);
      target.backend->condition().set_breaker(config.breaker);
      target.load = &target.backend->condition().load(model);
      target.price = config::price_of(wanted, backend).value_or(config::Price{});
      target.backend->condition().retry_budget().set(config.retry_budget.ratio, config.retry_budget.floor);
      target.backend->condition().hedge_budget().set(config.retry_budget.hedge_ratio, config.retry_budget.floor);
      target.backend->condition().gate().set(backend::gate_settings(backend, config.limits), now());
      target.timeouts = config::overlay(config::overlay(config.defaults, backend.timeouts), settings.timeouts);
      route.targets.push_back(std::move(target));
    }
    find_groups(route, prefixes);
    // Behind those that go before it or are alike: the order of the file decides between equals.
    const auto place = std::upper_bound(routes_.begin(), routes_.end(), route, goes_before);
    routes_.insert(place, std::move(route));
  }
}

const Route* RouteTable::match(std::string_view model, std::string_view workload) const {
  for (const Route& route : routes_) {
    if (!route.settings.workload.empty() && route.settings.workload != workload) continue;
    if (glob_match(route.settings.model, model)) return &route;
  }
  return nullptr;
}

std::vector<RouteTable::Model> RouteTable::models() const {
  std::vector<Model> out;
  const auto add = [&](const std::string& name, const std::string& backend) {
    for (const Model& known : out) {
      if (known.name == name) return;
    }
    out.push_back({name, backend});
  };
  for (const Route& route : routes_) {
    if (route.targets.empty()) continue;
    const std::string& name = route.settings.model;
    // A Route that asks for a label is not one that everybody can count on.
    if (!is_glob(name) && match(name, "") != nullptr) add(name, route.targets.front().backend->name());
  }
  for (const Route& route : routes_) {
    for (std::size_t i = 0; i < route.targets.size(); ++i) {
      const config::Backend& backend = route.targets[i].backend->settings();
      const config::Target& wanted = route.settings.targets[i];
      const std::string& name = !wanted.model.empty() ? wanted.model : backend.model;
      const Route* const serving = name.empty() ? nullptr : match(name, "");
      if (serving != nullptr && !serving->targets.empty()) add(name, serving->targets.front().backend->name());
    }
  }
  return out;
}

}  // namespace spillway::route
