#include "fleet/hardware/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "base/file.h"

extern char** environ;

namespace spillway::fleet {

namespace {

constexpr std::size_t kMostOutput = 1u << 20;

struct Started {
  pid_t pid = 0;
  FileDescriptor output;
};

Result<Started> start(const std::string& program, const std::vector<std::string>& arguments) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot run", program, errno);
  Started out;
  out.output = FileDescriptor(ends[0]);
  const FileDescriptor theirs(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, theirs.get(), STDERR_FILENO);
  std::vector<char*> argv{const_cast<char*>(program.c_str())};  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  for (const std::string& argument : arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }
  argv.push_back(nullptr);
  const int error = ::posix_spawn(&out.pid, program.c_str(), &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return system_error("cannot run", program, error);
  return out;
}

}  // namespace

std::string find_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    std::string candidate = std::string(rest.substr(0, end)) + "/" + name;
    if (end > 0 && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  // Where tools for administrators are, which users' PATH often leaves out.
  for (const char* folder : {"/usr/sbin/", "/sbin/", "/usr/local/sbin/"}) {
    std::string candidate = folder + name;
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

Result<std::string> run_tool(const std::string& program, const std::vector<std::string>& arguments,
                             milliseconds limit) {
  Result<Started> started = start(program, arguments);
  if (!started) return started.error();
  const TimePoint until = now() + limit;
  std::string out;
  bool ended = false;
  while (!ended && out.size() < kMostOutput) {
    const auto left = std::chrono::duration_cast<milliseconds>(until - now()).count();
    pollfd ready{started->output.get(), POLLIN, 0};
    const int count = left <= 0 ? 0 : ::poll(&ready, 1, static_cast<int>(left));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    char block[4096];
    const ssize_t got = ::read(started->output.get(), block, sizeof block);
    if (got > 0) out.append(block, static_cast<std::size_t>(got));
    ended = got <= 0;
  }
  if (!ended) ::kill(started->pid, SIGKILL);
  int status = 0;
  while (::waitpid(started->pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (ended) return out;
  return Error{ErrorCode::kUnavailable, program + " did not end within " + std::to_string(limit.count()) + " ms", {}};
}

}  // namespace spillway::fleet
