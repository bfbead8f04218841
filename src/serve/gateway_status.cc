// What the Gateway tells of itself.
#include <unistd.h>

#include <algorithm>

#include "base/bug.h"
#include "base/version.h"
#include "serve/banner.h"
#include "serve/gateway.h"

namespace spillway::serve {

namespace {

const fleet::ReplicaStatus* find_replica(const std::vector<fleet::ReplicaStatus>& replicas,
                                         const std::string& backend) {
  for (const fleet::ReplicaStatus& replica : replicas) {
    if (replica.backend == backend && replica.serving) return &replica;
  }
  return nullptr;
}

admin::BackendStatus describe(const config::Backend& backend, const fleet::ReplicaStatus* replica) {
  admin::BackendStatus out;
  out.name = backend.name;
  out.tier = to_string(backend.tier);
  out.url = backend.base_url;
  out.state = "ready";
  out.engine = backend.engine;
  if (!backend.is_local()) return out;
  out.model = backend.model;
  out.context = backend.context;
  out.state = "stopped";
  if (replica == nullptr) return out;
  out.state = to_string(replica->state);
  if (backend.spare && replica->state == fleet::ReplicaStatus::State::kUnloaded) out.state = "standby";
  out.detail = replica->detail;
  out.pid = replica->pid;
  out.restarts = replica->restarts;
  out.memory = replica->memory.total();
  out.memory_measured = replica->measured;
  if (replica->port != 0) out.url = "http://127.0.0.1:" + std::to_string(replica->port);
  return out;
}

std::string label(std::string_view value) {
  std::string out = "backend=\"";
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    out += c == '\n' ? ' ' : c;
  }
  return out + "\"";
}

}  // namespace

void describe_backends(admin::Status& status, const config::Config& config,
                       const std::vector<fleet::ReplicaStatus>& replicas,
                       const std::vector<record::Metrics::BackendTotals>& totals) {
  for (const config::Backend& backend : config.backends) {
    admin::BackendStatus described = describe(backend, find_replica(replicas, backend.name));
    for (const record::Metrics::BackendTotals& total : totals) {
      if (total.name != backend.name) continue;
      described.in_flight = total.in_flight;
      described.hedges = total.hedges;
      described.resumes = total.resumes;
      for (std::size_t i = 0; i < total.attempts.size(); ++i) {
        if (total.attempts[i] > 0)
          described.attempts.push_back({std::string(record::kAttemptClasses[i]), total.attempts[i]});
      }
    }
    status.backends.push_back(std::move(described));
  }
  for (const config::Route& route : config.routes) {
    admin::RouteStatus described{route.model, route.workload, {}, false};
    for (const config::Target& target : route.targets) {
      described.targets.push_back(target.backend);
      described.ready |=
          std::any_of(status.backends.begin(), status.backends.end(), [&](const admin::BackendStatus& backend) {
            return backend.name == target.backend && (backend.state == "ready" || backend.state == "unloaded");
          });
    }
    status.routes.push_back(std::move(described));
  }
}

admin::Status Gateway::status() {
  admin::Status out;
  out.version = version();
  out.pid = ::getpid();
  out.uptime_s = to_ms(now() - began_at_) / 1e3;
  out.config_file = config_->file.string();
  out.url = url_of(config_->server.listen, config_->server.tls.has_value());
  out.threads = static_cast<int>(workers_.size());
  out.connections = client_load_->connections.load(std::memory_order_relaxed);
  out.access_log_dropped_bytes = access_log_->dropped_bytes();
  out.draining = draining_;
  out.refused_config = refused_config_;
  out.needs_restart = needs_restart_;
  describe_backends(out, *config_, fleet_->status(), metrics_.backend_totals());
  out.autoscale = scale_keeper_->status();
  governor_keeper_->describe(out);
  for (admin::BackendStatus& backend : out.backends) {
    const std::shared_ptr<backend::Condition> condition = conditions_.of(backend.name);
    if (const auto report = condition->report(now())) {
      backend.reports = true;
      backend.running_there = report->running;
      backend.waiting_there = report->waiting;
      backend.kv_usage = report->kv_usage;
    }
    backend.share = condition->share();
    const admit::Gate::Numbers gate = condition->gate().numbers(now());
    backend.limit = gate.limit;
    for (const std::size_t waiting : gate.waiting) backend.waiting += waiting;
    backend.wait_ms = to_ms(gate.wait);
    backend.first_token_ms = condition->first_token_ms();
    const auto failure = condition->last_failure();
    if (!failure) continue;
    backend.failures_in_a_row = condition->failures();
    backend.last_failure = failure->cls + (failure->status == 0 ? "" : " " + std::to_string(failure->status));
    backend.last_failure_s_ago = to_ms(now() - failure->at) / 1e3;
  }
  return out;
}

std::string Gateway::metrics_text() {
  std::vector<record::Gauge> gauges;
  gauges.push_back(
      {"spillway_build_info", "Always 1; the version as a label.", "version=\"" + std::string(version()) + "\"", 1});
  gauges.push_back(
      {"spillway_uptime_seconds", "Since the process began to serve.", "", to_ms(now() - began_at_) / 1e3});
  gauges.push_back({"spillway_bugs_total", "Faults of Spillway itself that it went on after; the log has each place.",
                    "", static_cast<double>(bugs())});
  gauges.push_back({"spillway_connections", "Open connections of clients.", "",
                    static_cast<double>(client_load_->connections.load(std::memory_order_relaxed))});
  gauges.push_back({"spillway_buffered_bytes", "Bodies of requests that are read or wait for their answer.", "",
                    static_cast<double>(client_load_->buffered())});
  gauges.push_back({"spillway_config_refused", "1 while the last change of the config file was refused.", "",
                    refused_config_.empty() ? 0.0 : 1.0});
  gauges.push_back({"spillway_access_log_dropped_bytes", "Lines of the access log that the disk did not take.", "",
                    static_cast<double>(access_log_->dropped_bytes())});
  for (const config::Backend& backend : config_->backends) {
    gauges.push_back({"spillway_backend_share",
                      "Of the requests meant for the Backend, that it gets; below 1: it is spared.",
                      label(backend.name), conditions_.of(backend.name)->share()});
  }
  for (const config::Backend& backend : config_->backends) {
    const admit::Gate::Numbers gate = conditions_.of(backend.name)->gate().numbers(now());
    gauges.push_back({"spillway_backend_limit", "Attempts that the Backend is given at once; 0: as many as come.",
                      label(backend.name), static_cast<double>(gate.limit)});
  }
  for (const config::Backend& backend : config_->backends) {
    const admit::Gate::Numbers gate = conditions_.of(backend.name)->gate().numbers(now());
    for (std::size_t i = 0; i < admit::kPriorities; ++i) {
      gauges.push_back(
          {"spillway_backend_waiting", "Requests that wait for room at the Backend, by priority.",
           label(backend.name) + ",priority=\"" + std::string(admit::to_string(static_cast<admit::Priority>(i))) + "\"",
           static_cast<double>(gate.waiting[i])});
    }
  }
  // One of each name: a retired engine that still answers would be a second series of the same labels.
  std::vector<fleet::ReplicaStatus> serving = fleet_->status();
  std::erase_if(serving, [](const fleet::ReplicaStatus& replica) { return !replica.serving; });
  for (const fleet::ReplicaStatus& replica : serving) {
    gauges.push_back({"spillway_replica_ready", "1 while the local Replica answers.", label(replica.backend),
                      replica.state == fleet::ReplicaStatus::State::kReady ? 1.0 : 0.0});
  }
  for (const fleet::ReplicaStatus& replica : serving) {
    gauges.push_back({"spillway_replica_restarts", "Starts of the local Replica after its first.",
                      label(replica.backend), static_cast<double>(replica.restarts)});
  }
  return metrics_.render(gauges);
}

}  // namespace spillway::serve
