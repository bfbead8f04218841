#include "config/members.h"

#include <algorithm>
#include <set>

#include "base/text.h"

namespace spillway::config {

namespace {

// Standbys that may be started.
int spare_of(const Config& config, const Backend& backend) { return config.autoscale.on ? backend.standby : 0; }

// Replicas that may run at once.
int replicas_of(const Config& config, const Backend& backend) { return backend.replicas + spare_of(config, backend); }

bool has_replicas(const Config& config, const Backend& backend) {
  return backend.is_local() && backend.models.empty() && replicas_of(config, backend) > 1;
}

const Backend* find_pool(const Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.backends, name, &Backend::name);
  return found == config.backends.end() || found->models.empty() ? nullptr : &*found;
}

// The Target, at the member that `asked` means (a Model's name, or nothing that one has).
Target at_member(const Config& config, const Target& target, const std::string& asked) {
  const Backend* const pool = find_pool(config, target.backend);
  if (pool == nullptr) return target;
  const std::string& wanted = target.model.empty() ? asked : target.model;
  const bool known = std::ranges::find(pool->models, wanted) != pool->models.end();
  Target out = target;
  out.backend = member_name(*pool, known ? wanted : pool->model);
  out.model.clear();
  return out;
}

// As many Targets as the Backend has Replicas.
void add_replicas(const Config& config, const Target& target, std::vector<Target>& out) {
  const auto found = std::ranges::find(config.backends, target.backend, &Backend::name);
  if (found == config.backends.end() || !has_replicas(config, *found)) {
    out.push_back(target);
    return;
  }
  const int most = replicas_of(config, *found);
  for (int i = 1; i <= most; ++i) {
    Target one = target;
    one.backend = member_name(*found, std::to_string(i));
    one.weight /= most;
    out.push_back(std::move(one));
  }
}

Route for_model(const Config& config, const Route& route, const std::string& asked) {
  Route out = route;
  out.targets.clear();
  for (const Target& target : route.targets) add_replicas(config, at_member(config, target, asked), out.targets);
  return out;
}

// Names that clients may ask this Route for and a member has, where the Target leaves it to them.
std::set<std::string> names_of(const Config& config, const Route& route) {
  std::set<std::string> out;
  for (const Target& target : route.targets) {
    const Backend* const pool = find_pool(config, target.backend);
    if (pool == nullptr || !target.model.empty()) continue;
    for (const std::string& model : pool->models) {
      if (model != route.model && glob_match(route.model, model)) out.insert(model);
    }
  }
  return out;
}

// Of a pattern: how many characters it fixes; a name without wild ones fixes more than any.
std::size_t specificity(const std::string& pattern) {
  const auto wild =
      static_cast<std::size_t>(std::ranges::count_if(pattern, [](char c) { return c == '*' || c == '?'; }));
  return wild == 0 ? std::string::npos : pattern.size() - wild;
}

bool has_route(const std::vector<Route>& routes, const std::string& model, const std::string& workload) {
  return std::ranges::any_of(routes,
                             [&](const Route& route) { return route.model == model && route.workload == workload; });
}

}  // namespace

std::string member_name(const Backend& backend, const std::string& member) { return backend.name + "/" + member; }

Config with_members(const Config& config) {
  Config out = config;
  out.backends.clear();
  out.routes.clear();
  for (const Backend& backend : config.backends) {
    if (has_replicas(config, backend)) {
      const int most = replicas_of(config, backend);
      for (int i = 1; i <= most; ++i) {
        Backend member = backend;
        member.name = member_name(backend, std::to_string(i));
        member.member_of = backend.name;
        member.replica = i;
        member.spare = i > backend.replicas;
        member.replicas = 1;
        member.standby = 0;
        // What the Backend may be given at once, shared out.
        if (member.max_concurrency > 0) member.max_concurrency = (member.max_concurrency + most - 1) / most;
        out.backends.push_back(std::move(member));
      }
      continue;
    }
    if (backend.models.empty()) {
      out.backends.push_back(backend);
      continue;
    }
    for (const std::string& model : backend.models) {
      Backend member = backend;
      member.name = member_name(backend, model);
      member.member_of = backend.name;
      member.model = model;
      member.models.clear();
      out.backends.push_back(std::move(member));
    }
  }
  for (const Route& route : config.routes) {
    // The most specific Route that a name matches serves it: one that is written is not hidden by one that is made
    // here.
    for (const std::string& model : names_of(config, route)) {
      const bool taken = std::ranges::any_of(config.routes, [&](const Route& other) {
        return &other != &route && other.workload == route.workload && glob_match(other.model, model) &&
               specificity(other.model) > specificity(route.model);
      });
      if (taken || has_route(out.routes, model, route.workload)) continue;
      Route made = for_model(config, route, model);
      made.model = model;
      out.routes.push_back(std::move(made));
    }
    out.routes.push_back(for_model(config, route, route.model));
  }
  return out;
}

}  // namespace spillway::config
