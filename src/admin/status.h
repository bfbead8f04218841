// What runs now, as `spillway status` and the admin API tell it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spillway::admin {

struct AttemptCount {
  std::string cls;  // "class" in JSON: a word of record::kAttemptClasses
  std::uint64_t count = 0;
};

struct BackendStatus {
  std::string name;
  std::string tier;
  std::string url;     // of a local one: its Replica's address, empty while there is none
  std::string model;   // of a local one
  std::string state;   // "ready"; of a local one also "starting", "failing", "stopped"
  std::string detail;  // what went wrong last with its Replica; may be empty
  int pid = 0;         // of the Replica; 0: none
  int restarts = 0;
  std::uint64_t in_flight = 0;          // Attempts
  std::vector<AttemptCount> attempts;   // ended ones by class, those that are not 0
  double share = 1;                     // of its requests that it gets; less: it is spared
  std::uint32_t failures_in_a_row = 0;  // until now
  std::string last_failure = {};        // "overload 503"; empty: it never failed
  double last_failure_s_ago = 0;
  int limit = 0;                 // Attempts at once; 0: none
  std::uint64_t waiting = 0;     // requests, for room there
  double wait_ms = 0;            // that the next one would have, as far as it can be foreseen
  double first_token_ms = 0;     // of late, on the average; 0: not known
  std::uint64_t hedges = 0;      // Attempts beside one that was slow, here
  std::uint64_t resumes = 0;     // answers that broke elsewhere and went on here
  std::string engine = {};       // of a local one, and of one whose server is asked for its load
  int context = 0;               // tokens for each answer, of a local one
  std::uint64_t memory = 0;      // bytes that its Replica takes, or is expected to; 0: not known
  bool memory_measured = false;  // the engine has said so
  bool reports = false;          // its server tells of its own work, of late:
  double running_there = 0;      // requests
  double waiting_there = 0;      // requests that it has not begun
  double kv_usage = 0;           // of its room for keys and values, 0 to 1
  bool governed = false;         // how busy its engine is, is held at a set point:
  double set_point = 0;          // that one
  double use = 0;                // how busy it was over the last minute, 0 to 1
  int cap = 0;                   // requests of priority normal that it may be given at once, now
};

struct RouteStatus {
  std::string model;
  std::string workload;
  std::vector<std::string> targets;  // names of Backends, in order
  bool ready = false;                // at least one Target can serve
};

// What was decided about a Backend's standby Replicas.
struct ScaleDecision {
  double s_ago = 0;
  int change = 0;    // +1 or -1
  int replicas = 0;  // that run or start since
  std::string reason;
};

struct ScaleStatus {
  std::string backend;
  int replicas = 0;  // that run or start
  int least = 0;
  int most = 0;
  double cpu = 0;                        // of the processors that they may use, a mean of late
  std::string held;                      // why one more that is wanted does not start; empty: none is wanted
  std::vector<ScaleDecision> decisions;  // the last ones, newest first
};

struct Status {
  std::string version;
  int pid = 0;
  double uptime_s = 0;
  std::string config_file;  // empty: the embedded default
  std::string url;          // of the data plane
  int threads = 0;
  std::uint64_t connections = 0;
  std::uint64_t access_log_dropped_bytes = 0;
  bool draining = false;
  // Set while the last change of the config file was refused: why; the one before it goes on.
  std::string refused_config;
  // Settings of the current file that wait for a restart.
  std::vector<std::string> needs_restart;
  std::vector<BackendStatus> backends;
  std::vector<RouteStatus> routes;
  std::vector<ScaleStatus> autoscale;  // one for each Backend with `standby`
};

// JSON, as `GET /admin/v1/status` and `spillway status --json` give it.
std::string to_json(const Status& status);
// The reverse; kCorrupt for anything else.
Result<Status> from_json(std::string_view json);

// "local/1: busy 74 % (set point 75 %), 1 at once"
std::string governor_text(const BackendStatus& backend);

// "local: 2 of 1 to 3 replicas, CPU at 93 %; +1 12 s ago: …"
std::string to_text(const ScaleStatus& scale);

// For a terminal: a few lines and a table.
std::string to_text(const Status& status);

// `GET /admin/v1/health`: {"status":"ok"|"degraded","problems":[…]}. Degraded: a refused config, a
// Replica that fails, a Route without a ready Target, a log that loses lines.
std::string health_json(const Status& status);

}  // namespace spillway::admin
