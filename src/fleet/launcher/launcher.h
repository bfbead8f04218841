// How a Replica's engine comes to run: as a process of our own (process_launcher.h), or in a container (docker.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "fleet/plan.h"

namespace spillway::fleet {

// How an engine ended.
struct Exit {
  std::string text;            // "it exited with code 1", "it needed more than its 512 MiB of memory and was killed"
  bool from_outside = false;   // by a SIGKILL that was not for want of memory: its log says nothing of why
  bool out_of_memory = false;  // the kernel killed it, for its own bound or the machine's
};

// One engine that runs. Owned and used on the control loop's thread.
class Instance {
 public:
  using ExitHandler = std::function<void(Exit)>;

  virtual ~Instance() = default;
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }  // on 127.0.0.1
  [[nodiscard]] const std::string& key() const { return key_; }
  [[nodiscard]] virtual int pid() const = 0;                  // 0: not known
  [[nodiscard]] virtual std::string description() const = 0;  // "pid 4711", "container 0123456789ab"
  // It ran before this process did, and was found.
  [[nodiscard]] virtual bool adopted() const { return false; }

  // Calls `handler` once, from the loop, when it has ended. The handler may destroy this object. Call it once.
  virtual void on_exit(ExitHandler handler) = 0;
  virtual void terminate() = 0;  // SIGTERM
  virtual void kill() = 0;       // SIGKILL
  // Processor time that it and its children have used so far; 0 where that cannot be told.
  [[nodiscard]] virtual Duration processor_time() const = 0;

 protected:
  Instance(std::uint16_t port, std::string key) : port_(port), key_(std::move(key)) {}

 private:
  std::uint16_t port_;
  std::string key_;
};

class Launcher {
 public:
  using Started = std::function<void(Result<std::unique_ptr<Instance>>)>;

  virtual ~Launcher() = default;

  // Starts the engine of `plan`, its output going into plan.log_file, or finds the one that an earlier process of ours
  // started alike. `done` is called once, from the loop, perhaps within this call.
  virtual void start(const ReplicaPlan& plan, Started done) = 0;

  // Before anything is started: kUnavailable where another process of ours starts and ends the same.
  virtual Status take_charge() { return {}; }

  // Of what an earlier process of ours left running and nobody here has taken over yet: ends what none of `backends`
  // needs, and calls `found`, from the loop, for each of the others.
  using FoundRunning = std::function<void(const std::string& backend)>;
  virtual void keep_only(const std::set<std::string>& backends, FoundRunning found) = 0;
};

// A free port and a new key, for a start.
struct Access {
  std::uint16_t port = 0;
  std::string key;
};
Result<Access> make_access();

}  // namespace spillway::fleet
