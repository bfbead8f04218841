// From the model name that a client asks for to the Targets that may answer.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "backend/backend.h"
#include "base/mutex.h"
#include "config/config.h"
#include "record/metrics.h"
#include "route/policy.h"
#include "route/prefix_map.h"

namespace spillway::route {

// A Backend plus the model name to ask it for, and the time limits that hold there.
struct Target {
  std::shared_ptr<backend::Backend> backend;
  std::string quoted_model;    // as JSON text; empty: the name that the client asked for
  bool unless_listed = false;  // only where the Backend does not list the client's name
  config::Timeouts timeouts;
  backend::Breaker* breaker = nullptr;  // these two live as long as the Backend
  backend::Load* load = nullptr;
  config::Price price{};

  // What to put in place of the client's `model`, as JSON text; empty: nothing.
  [[nodiscard]] std::string_view model_for(std::string_view model) const {
    return unless_listed && backend->condition().lists(model) ? std::string_view() : std::string_view(quoted_model);
  }
};

// Targets of a Route that stand side by side: the Replicas of one Backend.
struct ReplicaGroup {
  std::size_t first = 0;
  std::size_t count = 0;
  std::shared_ptr<PrefixMap> map;  // null: they are told apart by load alone
};

struct Route {
  config::Route settings;
  Policy policy = ordered;
  std::vector<Target> targets;
  milliseconds deadline{};
  milliseconds hedge_after{};  // 0: never, or when it is late for this Target
  record::RouteSeries* series = nullptr;
  std::vector<ReplicaGroup> groups;
};

// What is remembered of which Replica has what, by Backend; outlives a reload. From any thread.
class PrefixMaps {
 public:
  std::shared_ptr<PrefixMap> of(const std::string& backend);

 private:
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<PrefixMap>> all_ SPILLWAY_GUARDED_BY(mutex_);
};

// Immutable once made; one for each thread and Config. An Exchange keeps the one it began with.
class RouteTable {
 public:
  using Backends = std::unordered_map<std::string, std::shared_ptr<backend::Backend>>;

  RouteTable(const config::Config& config, const Backends& backends, record::ThreadMetrics& metrics,
             PrefixMaps* prefixes = nullptr);

  // The Route for `model` and the request's workload label (empty: none). An exact name goes before
  // a glob, a more specific glob (more characters that are not wild) before a less specific one,
  // a Route with that label before one without. Null: none.
  [[nodiscard]] const Route* match(std::string_view model, std::string_view workload) const;

  struct Model {
    std::string name;
    std::string backend;  // that is asked first
  };
  // The names that clients can count on: those of Routes that are not globs, and of their Targets.
  [[nodiscard]] std::vector<Model> models() const;

  [[nodiscard]] const std::vector<Route>& routes() const { return routes_; }

 private:
  std::vector<Route> routes_;  // in the order in which they are tried
};

}  // namespace spillway::route
