#include "admin/status.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace spillway::admin {

// Named as the library finds them (argument-dependent lookup).
void to_json(nlohmann::json& out, const AttemptCount& entry) { out = {{"class", entry.cls}, {"count", entry.count}}; }
void from_json(const nlohmann::json& in, AttemptCount& entry) {
  entry.cls = in.value("class", "");
  entry.count = in.value("count", std::uint64_t{0});
}
// A status of another version has other members: those that are unknown are passed over, those that are missing have
// their defaults.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(BackendStatus, name, tier, url, model, state, detail, pid, restarts,
                                                in_flight, attempts, share, failures_in_a_row, last_failure,
                                                last_failure_s_ago, limit, waiting, wait_ms, first_token_ms, hedges,
                                                resumes, engine, context, memory, memory_measured, reports,
                                                running_there, waiting_there, kv_usage, governed, set_point, use, cap)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(RouteStatus, model, workload, targets, ready)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ScaleDecision, s_ago, change, replicas, reason)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(ScaleStatus, backend, replicas, least, most, cpu, held, decisions)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE_WITH_DEFAULT(Status, version, pid, uptime_s, config_file, url, threads, connections,
                                                access_log_dropped_bytes, draining, refused_config, needs_restart,
                                                backends, routes, autoscale)

namespace {

using nlohmann::json;

// A config may hold what is no UTF-8; a status must be told all the same.
std::string dump(const json& value, int indent) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string duration_text(double seconds) {
  const auto whole = static_cast<long long>(seconds);
  if (whole < 120) return std::to_string(whole) + " s";
  if (whole < 7200) return std::to_string(whole / 60) + " min";
  if (whole < 172'800) return std::to_string(whole / 3600) + " h";
  return std::to_string(whole / 86'400) + " days";
}

std::string pad(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::uint64_t answered(const BackendStatus& backend) {
  for (const AttemptCount& entry : backend.attempts) {
    if (entry.cls == "answered") return entry.count;
  }
  return 0;
}

// "ready", or "spared (2 %)" where its Breaker lets only so many requests through.
std::string state_text(const BackendStatus& backend) {
  if (backend.state != "ready" || backend.share >= 1) return backend.state;
  return "spared (" + std::to_string(static_cast<int>(backend.share * 100)) + " %)";
}

// "3 overload, 1 cut"
std::string failures_text(const BackendStatus& backend) {
  std::string out;
  for (const AttemptCount& entry : backend.attempts) {
    if (entry.cls == "answered") continue;
    if (!out.empty()) out += ", ";
    out += std::to_string(entry.count) + " " + entry.cls;
  }
  if (out.empty()) return "none";
  if (backend.last_failure.empty()) return out;
  return out + "; last: " + backend.last_failure + ", " + duration_text(backend.last_failure_s_ago) + " ago";
}

std::vector<std::string> problems_of(const Status& status) {
  std::vector<std::string> problems;
  if (!status.refused_config.empty())
    problems.push_back("the changed config was refused, the one before goes on: " + status.refused_config);
  for (const std::string& setting : status.needs_restart)
    problems.push_back(setting + " has changed and waits for a restart");
  for (const BackendStatus& backend : status.backends) {
    if (backend.state == "failing" || backend.state == "stopped") {
      problems.push_back("backend " + backend.name + " is " + backend.state +
                         (backend.detail.empty() ? "" : ": " + backend.detail));
    }
    if (backend.failures_in_a_row == 0) continue;
    if (backend.last_failure.starts_with("config")) {
      problems.push_back("backend " + backend.name + " refuses requests for its credentials or settings (" +
                         backend.last_failure + "): look at its api_key, base_url and model");
    } else if (backend.last_failure.starts_with("quota")) {
      problems.push_back("backend " + backend.name +
                         " refuses requests because its account has no money or no quota "
                         "left (" +
                         backend.last_failure + "): top it up, or raise its limit");
    }
  }
  for (const RouteStatus& route : status.routes) {
    if (!route.ready) problems.push_back("route " + route.model + " has no Target that can serve");
  }
  if (status.access_log_dropped_bytes > 0) {
    problems.push_back("the access log has lost " + std::to_string(status.access_log_dropped_bytes) +
                       " bytes: its disk is full or slow");
  }
  return problems;
}

}  // namespace

std::string to_json(const Status& status) { return dump(json(status), 2); }

Result<Status> from_json(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);
  if (parsed.is_discarded()) return Error{ErrorCode::kCorrupt, "the answer is no JSON", {}};
  const auto version = parsed.is_object() ? parsed.find("version") : parsed.end();
  if (version == parsed.end()) return Error{ErrorCode::kCorrupt, "the answer is not a status: it has no version", {}};
  try {
    return parsed.get<Status>();
  } catch (const json::exception& exception) {
    return Error{ErrorCode::kCorrupt, std::string("the answer is not a status: ") + exception.what(), {}};
  }
}

std::string governor_text(const BackendStatus& backend) {
  return backend.name + ": busy " + std::to_string(static_cast<int>(std::lround(backend.use * 100))) +
         " % (set point " + std::to_string(static_cast<int>(std::lround(backend.set_point * 100))) + " %), " +
         std::to_string(backend.cap) + " at once";
}

std::string to_text(const ScaleStatus& scale) {
  std::string out = scale.backend + ": " + std::to_string(scale.replicas) + " of " + std::to_string(scale.least) +
                    " to " + std::to_string(scale.most) + " replicas, CPU at " +
                    std::to_string(static_cast<int>(scale.cpu * 100)) + " %";
  if (!scale.decisions.empty()) {
    const ScaleDecision& last = scale.decisions.front();
    out += std::string("; ") + (last.change > 0 ? "+1 " : "-1 ") + duration_text(last.s_ago) + " ago: " + last.reason;
  }
  if (!scale.held.empty()) out += "; " + scale.held;
  return out;
}

std::string to_text(const Status& status) {
  std::string out = "spillway " + status.version + " (pid " + std::to_string(status.pid) + ", up " +
                    duration_text(status.uptime_s) + ", " + std::to_string(status.threads) + " thread(s), " +
                    std::to_string(status.connections) + " connection(s))" + (status.draining ? ", draining" : "") +
                    "\n";
  out += "  " + status.url +
         "   config: " + (status.config_file.empty() ? "the embedded default" : status.config_file) + "\n\n";

  std::size_t name_width = 7;
  std::size_t where_width = 5;
  const auto where = [](const BackendStatus& backend) { return backend.model.empty() ? backend.url : backend.model; };
  for (const BackendStatus& backend : status.backends) {
    name_width = std::max(name_width, backend.name.size());
    where_width = std::max(where_width, where(backend).size());
  }
  out += pad("BACKEND", name_width + 2) + pad("TIER", 8) + pad("STATE", 14) + pad("WHERE", where_width + 2) +
         pad("ACTIVE", 8) + pad("ANSWERED", 10) + "FAILED\n";
  for (const BackendStatus& backend : status.backends) {
    out += pad(backend.name, name_width + 2) + pad(backend.tier, 8) + pad(state_text(backend), 14) +
           pad(where(backend), where_width + 2) + pad(std::to_string(backend.in_flight), 8) +
           pad(std::to_string(answered(backend)), 10) + failures_text(backend) + "\n";
  }
  out += "\n";
  for (const RouteStatus& route : status.routes) {
    out += "route " + route.model + (route.workload.empty() ? "" : " (workload " + route.workload + ")") + ": ";
    for (std::size_t i = 0; i < route.targets.size(); ++i) out += (i > 0 ? " -> " : "") + route.targets[i];
    out += route.ready ? "\n" : "   NOT READY\n";
  }
  for (const BackendStatus& backend : status.backends) {
    if (backend.governed) out += "governor " + governor_text(backend) + "\n";
  }
  for (const ScaleStatus& scale : status.autoscale) out += "autoscale " + to_text(scale) + "\n";
  for (const std::string& problem : problems_of(status)) out += "problem: " + problem + "\n";
  return out;
}

std::string health_json(const Status& status) {
  const std::vector<std::string> problems = problems_of(status);
  json out = {{"status", problems.empty() ? "ok" : "degraded"}, {"version", status.version}, {"problems", problems}};
  out["config"] = {{"file", status.config_file}, {"refused", status.refused_config}};
  return dump(out, 2);
}

}  // namespace spillway::admin
