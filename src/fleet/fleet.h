// The Replicas of all local Backends: started, watched, restarted, replaced, stopped.
#pragma once

#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/launcher/launcher.h"
#include "fleet/models/memory.h"

namespace spillway::fleet {

// What is known of one Replica. Plain data: may be handed to any thread.
struct ReplicaStatus {
  enum class State {
    kStarting,  // it loads, for the first time or again; requests may wait for it
    kReady,     // it answered a completion
    kFailing,   // it failed to start several times on end; it is still being tried
    kStopped,   // it is gone for good
    kUnloaded,  // one of several Models; it is loaded when it is asked for (load())
  };
  std::string backend;
  std::string model;  // as in the Config
  State state = State::kStarting;
  std::uint16_t port = 0;         // on 127.0.0.1; set when kReady
  std::string key;                // its API key; set when kReady
  int pid = 0;                    // 0: no process now
  int restarts = 0;               // starts after the first one
  std::string detail;             // of the last failure; empty: there was none
  MemoryUse memory;               // that it takes, or is expected to; 0: nobody can tell
  bool measured = false;          // `memory` is what the engine said
  int slots = 0;                  // that a request can name; 0: the engine chooses
  std::uint64_t kept_tokens = 0;  // that it holds of what has lost its slot
  bool serving = true;  // requests that begin now go to it: one for each Backend; others load, or end what they began
  // A Replica that a new Config no longer wants is stopped when the last copy of this is gone (or
  // after the drain time-out), so that answers under way can finish.
  std::shared_ptr<const void> lease;
};

// "starting", "ready", "failing", "stopped", "unloaded".
std::string_view to_string(ReplicaStatus::State state);

// Asks a Replica on 127.0.0.1:`port` for its health, and then for one short completion; calls `done`
// once, from the same loop, not within the call. kUnavailable: not yet, ask again.
struct ProbeRequest {
  std::uint16_t port = 0;
  std::string key;
  std::string model;               // the name to ask for
  std::string health = "/health";  // where the engine says that it is well
  enum class What { kBoth, kHealth, kCompletion };
  What what = What::kBoth;
  Duration limit = seconds(120);  // for the completion: a large model on few cores; start_timeout ends it sooner
};
// Of clients' requests.
struct Work {
  int inside = 0;              // that it answers
  std::uint64_t admitted = 0;  // so far
};
using Probe = std::function<void(ProbeRequest request, std::function<void(Status)> done)>;

// Lives on the control loop: the thread that runs it must live as long as the process (see Process).
class Fleet {
 public:
  struct Options {
    std::filesystem::path data;  // DATA: models/, log/
    config::Environment environment;
    Probe probe;
    // Called from the loop whenever a Replica's status has changed.
    std::function<void(const ReplicaStatus&)> on_change;
    // What a Backend has to do now. Empty: nobody can tell.
    std::function<Work(const std::string& backend)> work = {};
    // For Backends with launcher docker. Null: there is none, and they are refused.
    std::unique_ptr<Launcher> containers = {};
  };
  Fleet(boost::asio::io_context& loop, Options options);
  ~Fleet();  // kills what still runs as a process; containers are found again by the next one
  Fleet(const Fleet&) = delete;
  Fleet& operator=(const Fleet&) = delete;

  // Can all local Backends of `config` be started: is there an engine, are the models there and
  // whole, can the logs be written? Starts nothing; but where something is to run in containers, those of the data
  // folder are looked after by this process from here on. The Error names the Backend.
  [[nodiscard]] Status check(const config::Config& config) const;

  // Makes it so: starts what is new, leaves what is alike, replaces what has changed (the new one
  // beside the old), retires what is gone. Checks first; on an Error nothing has changed.
  Status apply(const config::Config& config);

  // Of a Backend that is on_demand(), which apply() does not start: starts its engine, where there is none.
  void load(const std::string& backend);
  // Its engine takes no new requests, and ends when the last lease is given back, however long that takes.
  void unload(const std::string& backend);

  // Processor time that the serving engine of a Backend has used since its start, and of how many processors; nothing
  // where none runs.
  struct Usage {
    Duration processor_time{};
    double processors = 0;
  };
  [[nodiscard]] std::optional<Usage> usage(const std::string& backend) const;

  // Of all that run; the serving one of each Backend first.
  [[nodiscard]] std::vector<ReplicaStatus> status() const;

  // SIGTERM to all, SIGKILL to what is left after kStopGrace; `done` is called when all have ended.
  void stop(std::function<void()> done);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::fleet
