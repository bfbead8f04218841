#include "fleet/launcher/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <optional>

#include "base/file.h"

namespace spillway::fleet {

namespace {

constexpr int kErrorPipe = 3;       // where the child keeps it until exec
constexpr int kFirstUnshared = 10;  // what the child puts in place lies above the places

// All that the child needs, made before the fork: afterwards nothing may allocate.
struct ChildPlan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  int null;
  int log;
  int error_pipe;
  pid_t parent;
  const std::vector<FileDescriptor>& groups;
  std::uint64_t data_limit;
  const cpu_set_t* processors;  // null: all
};

[[noreturn]] void tell_and_exit(int fd, int error_number) {
  while (::write(fd, &error_number, sizeof error_number) < 0 && errno == EINTR) {
  }
  ::_exit(127);
}

// In the child, between fork and exec: async-signal-safe calls only. All signals are blocked, so
// that no handler of the parent runs here.
[[noreturn]] void run_child(const ChildPlan& plan) {
  ::setpgid(0, 0);
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) tell_and_exit(plan.error_pipe, errno);
  // The parent may have died before prctl: then nobody will send the signal.
  if (::getppid() != plan.parent) ::_exit(127);

  if (::dup2(plan.null, STDIN_FILENO) < 0 || ::dup2(plan.log, STDOUT_FILENO) < 0 ||
      ::dup2(plan.log, STDERR_FILENO) < 0 || ::dup3(plan.error_pipe, kErrorPipe, O_CLOEXEC) < 0) {
    tell_and_exit(plan.error_pipe, errno);
  }
  for (const FileDescriptor& group : plan.groups) {
    if (::write(group.get(), "0", 1) != 1) tell_and_exit(kErrorPipe, errno);
  }
  if (plan.data_limit > 0) {
    const rlimit limit{plan.data_limit, plan.data_limit};
    if (::setrlimit(RLIMIT_DATA, &limit) != 0) tell_and_exit(kErrorPipe, errno);
  }
  if (plan.processors != nullptr && ::sched_setaffinity(0, sizeof(cpu_set_t), plan.processors) != 0)
    tell_and_exit(kErrorPipe, errno);
  if (::close_range(kErrorPipe + 1, UINT_MAX, 0) != 0) tell_and_exit(kErrorPipe, errno);

  struct sigaction reset{};
  reset.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &reset, nullptr);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);

  ::execve(plan.program, plan.arguments, plan.environment);
  tell_and_exit(kErrorPipe, errno);
}

// Moves a descriptor above the numbers that the child puts in place.
Status move_up(FileDescriptor& fd, const std::filesystem::path& name) {
  FileDescriptor moved(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstUnshared));
  if (!moved.valid()) return system_error("cannot open", name, errno);
  fd = std::move(moved);
  return {};
}

Result<FileDescriptor> open_above(const std::filesystem::path& path, int flags) {
  FileDescriptor fd(::open(path.c_str(), flags | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) return system_error("cannot open", path, errno);
  if (Status moved = move_up(fd, path); !moved) return moved.error();
  return fd;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// The first `count` of those that we may run on; nothing where that is all of them.
std::optional<cpu_set_t> first_processors(int count) {
  cpu_set_t ours;
  CPU_ZERO(&ours);
  if (count == 0 || ::sched_getaffinity(0, sizeof ours, &ours) != 0 || CPU_COUNT(&ours) <= count) return std::nullopt;
  cpu_set_t out;
  CPU_ZERO(&out);
  for (std::size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&out) < count; ++i) {
    if (CPU_ISSET(i, &ours)) CPU_SET(i, &out);
  }
  return out;
}

pid_t fork_with_signals_blocked(const ChildPlan& plan) {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) run_child(plan);
  const int error_number = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error_number;
  return pid;
}

// 0 when the pipe closed because the program was executed, else the child's errno.
int read_error(int fd) {
  int error_number = 0;
  for (;;) {
    const ssize_t got = ::read(fd, &error_number, sizeof error_number);
    if (got < 0 && errno == EINTR) continue;
    return got == sizeof error_number ? error_number : 0;
  }
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

}  // namespace

std::string ExitStatus::to_string() const {
  if (signal == 0) return "exited with code " + std::to_string(code);
  const char* name = ::sigdescr_np(signal);
  return "was killed by signal " + std::to_string(signal) + " (" + (name != nullptr ? name : "unknown") + ")";
}

Result<std::unique_ptr<Process>> Process::start(boost::asio::io_context& context, const ProcessSpec& spec) {
  Result<FileDescriptor> null = open_above("/dev/null", O_RDONLY);
  if (!null) return null.error();
  Result<FileDescriptor> log = open_above(spec.log_file, O_WRONLY | O_APPEND | O_CREAT);
  if (!log) return log.error();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return system_error("cannot make a pipe for", spec.program, errno);
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  if (Status moved = move_up(write_end, spec.program); !moved) return moved.error();

  std::vector<FileDescriptor> groups;
  for (const std::filesystem::path& group : spec.groups) {
    Result<FileDescriptor> opened = open_above(group, O_WRONLY);
    if (!opened) return opened.error();
    groups.push_back(std::move(opened).value());
  }
  const std::optional<cpu_set_t> processors = first_processors(spec.processors);

  const std::string program = spec.program.string();
  std::vector<std::string> arguments = spec.arguments;
  arguments.insert(arguments.begin(), program);
  std::vector<std::string> environment = spec.environment;
  const std::vector<char*> argument_pointers = pointers_to(arguments);
  const std::vector<char*> environment_pointers = pointers_to(environment);
  const ChildPlan plan{program.c_str(),
                       argument_pointers.data(),
                       environment_pointers.data(),
                       null->get(),
                       log->get(),
                       write_end.get(),
                       ::getpid(),
                       groups,
                       spec.data_limit,
                       processors ? &*processors : nullptr};

  const pid_t pid = fork_with_signals_blocked(plan);
  if (pid < 0) return system_error("cannot start", spec.program, errno);
  ::setpgid(pid, pid);  // as the child does: whoever comes first; fails after exec, when it is done
  write_end = FileDescriptor();
  if (const int error_number = read_error(read_end.get()); error_number != 0) {
    wait_for(pid);
    return system_error("cannot run", spec.program, error_number);
  }
  // By number: glibc 2.36 declares pidfd_open() without C linkage.
  const int pidfd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (pidfd < 0) {
    const int error_number = errno;
    ::kill(-pid, SIGKILL);
    wait_for(pid);
    return system_error("cannot watch", spec.program, error_number);
  }
  return std::unique_ptr<Process>(new Process(context, pid, pidfd));
}

Process::Process(boost::asio::io_context& context, pid_t pid, int pidfd)
    : pid_(pid), pidfd_(context, pidfd), self_(std::make_shared<Process*>(this)) {}

Process::~Process() {
  if (!reaped_) reap();
}

void Process::on_exit(ExitHandler handler) {
  handler_ = std::move(handler);
  pidfd_.async_wait(Descriptor::wait_read,
                    [weak = std::weak_ptr<Process*>(self_)](const boost::system::error_code& error) {
                      const std::shared_ptr<Process*> self = weak.lock();
                      if (self && !error) (*self)->handle_exit();
                    });
}

void Process::handle_exit() {
  const ExitStatus status = reap();
  const ExitHandler handler = std::move(handler_);
  handler(status);  // may have destroyed *this
}

void Process::kill_group(int signal) {
  if (!reaped_) ::kill(-pid_, signal);
}

// The group is killed before the child is reaped: until then its number cannot be another's.
ExitStatus Process::reap() {
  kill_group(SIGKILL);
  const int status = wait_for(pid_);
  reaped_ = true;
  ExitStatus out;
  if (WIFSIGNALED(status)) {
    out.signal = WTERMSIG(status);
  } else {
    out.code = WEXITSTATUS(status);
  }
  return out;
}

}  // namespace spillway::fleet
