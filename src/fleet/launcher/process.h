// A program that runs as our child, and ends with us.
//
// The child leads its own process group, so that a terminal's Ctrl-C does not reach it and all that
// it starts can be ended with it. It reads from /dev/null, writes into a log file, and inherits
// nothing else: no descriptors, no signal mask, no handlers, and only the environment that is given.
//
// The kernel kills it (PR_SET_PDEATHSIG, SIGKILL) when the *thread* that called start() ends, so
// that not even `kill -9` of this process leaves an engine behind. Therefore call start() only from
// a thread that lives as long as the process, such as the one that runs the control loop.
#pragma once

#include <sys/types.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace spillway::fleet {

struct ProcessSpec {
  std::filesystem::path program;                   // a path; PATH is not searched
  std::vector<std::string> arguments;              // without the program's name
  std::vector<std::string> environment;            // "NAME=value", complete
  std::filesystem::path log_file;                  // appended to; created with mode 0600
  std::vector<std::filesystem::path> groups = {};  // the cgroup.procs of control groups that it is in from its start
  std::uint64_t data_limit = 0;                    // bytes, RLIMIT_DATA; 0: none
  int processors = 0;                              // that it may run on, of those that we may; 0: all
};

// How a process ended.
struct ExitStatus {
  int code = 0;    // its exit code; meaningless when `signal` is set
  int signal = 0;  // the signal that killed it; 0: it exited

  // "exited with code 1", "was killed by signal 9 (Killed)".
  [[nodiscard]] std::string to_string() const;
  bool operator==(const ExitStatus&) const = default;
};

// Owned and used on the thread that runs its io_context.
class Process {
 public:
  using ExitHandler = std::function<void(ExitStatus)>;

  // Returns when the program was executed. kNotFound or kPermissionDenied: the program is missing
  // or may not be run; the rest are failures of the system.
  static Result<std::unique_ptr<Process>> start(boost::asio::io_context& context, const ProcessSpec& spec);

  // Kills the group and waits for the child, if it still runs; the handler is not called.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Calls `handler` once, from the io_context, when the child has ended. By then it is reaped, and
  // what was left of its group was killed. The handler may destroy this object. Call it once.
  void on_exit(ExitHandler handler);

  // To the whole group; nothing when the child has ended.
  void kill_group(int signal);

  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  using Descriptor = boost::asio::posix::basic_stream_descriptor<boost::asio::io_context::executor_type>;

  Process(boost::asio::io_context& context, pid_t pid, int pidfd);
  void handle_exit();
  ExitStatus reap();

  pid_t pid_;
  bool reaped_ = false;
  Descriptor pidfd_;
  ExitHandler handler_;
  std::shared_ptr<Process*> self_;  // what the wait holds weakly: it may fire after our end
};

}  // namespace spillway::fleet
