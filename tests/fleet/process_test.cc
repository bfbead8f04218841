#include "fleet/launcher/process.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <sstream>

#include "base/file.h"
#include "fleet/loop_wait.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using testing::content_of;
using ::testing::HasSubstr;
using testing::run_until;

class ProcessTest : public ::testing::Test {
 protected:
  [[nodiscard]] ProcessSpec shell(const std::string& script, std::vector<std::string> environment = {}) const {
    environment.emplace_back("PATH=/usr/bin:/bin");
    return {"/bin/sh", {"-c", script}, std::move(environment), log_};
  }

  std::unique_ptr<Process> start(const ProcessSpec& spec) {
    auto process = Process::start(loop_, spec);
    EXPECT_TRUE(process.ok()) << process.error().message;
    auto out = std::move(process).value();
    out->on_exit([this](ExitStatus status) { exit_ = status; });
    return out;
  }

  ExitStatus wait_for_exit() {
    EXPECT_TRUE(run_until(loop_, [this] { return exit_.has_value(); }));
    return exit_.value_or(ExitStatus{-1, -1});
  }

  // The first line that the child has written, when it is whole.
  std::string first_line() {
    std::string text;
    EXPECT_TRUE(run_until(loop_, [&] { return (text = content_of(log_)).find('\n') != std::string::npos; }));
    return text.substr(0, text.find('\n'));
  }

  boost::asio::io_context loop_{1};
  testing::TemporaryFolder folder_;
  std::filesystem::path log_ = folder_.path() / "log";
  std::optional<ExitStatus> exit_;
};

// Watches any process until it is gone, ours or not.
class Watch {
 public:
  explicit Watch(pid_t pid) : fd_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}
  [[nodiscard]] bool ends() const {
    if (!fd_.valid()) return true;
    pollfd wait{fd_.get(), POLLIN, 0};
    return ::poll(&wait, 1, 30'000) == 1;
  }

 private:
  FileDescriptor fd_;
};

TEST_F(ProcessTest, an_exit_code_is_told) {
  const auto process = start(shell("exit 7"));
  EXPECT_EQ(wait_for_exit(), (ExitStatus{7, 0}));
  EXPECT_EQ(exit_->to_string(), "exited with code 7");
}

TEST_F(ProcessTest, a_signal_is_told) {
  const auto process = start({"/bin/sleep", {"1000"}, {}, log_});
  process->kill_group(SIGKILL);
  EXPECT_EQ(wait_for_exit(), (ExitStatus{0, SIGKILL}));
  EXPECT_EQ(exit_->to_string(), "was killed by signal 9 (Killed)");
}

TEST_F(ProcessTest, an_end_is_seen_within_100_ms) {
  const auto process = start({"/bin/sleep", {"1000"}, {}, log_});
  const TimePoint killed = now();
  ::kill(process->pid(), SIGKILL);
  wait_for_exit();
  EXPECT_LT(now() - killed, milliseconds(100));
}

TEST_F(ProcessTest, output_goes_into_the_log_and_input_is_empty) {
  const auto process = start(shell("cat; echo out; echo err >&2"));
  wait_for_exit();
  EXPECT_EQ(content_of(log_), "out\nerr\n");
}

TEST_F(ProcessTest, the_log_is_appended_to_and_closed_to_others) {
  folder_.write("log", "before\n");
  const auto process = start(shell("echo after"));
  wait_for_exit();
  EXPECT_EQ(content_of(log_), "before\nafter\n");
  log_ = folder_.path() / "fresh";
  exit_.reset();
  const auto second = start(shell("true"));
  wait_for_exit();
  EXPECT_EQ(std::filesystem::status(log_).permissions(), std::filesystem::perms(0600));
}

TEST_F(ProcessTest, only_the_given_environment_is_there) {
  ::setenv("SPILLWAY_TEST_SECRET", "sk-secret", 1);
  const auto process = start({"/usr/bin/env", {}, {"ONE=1", "TWO=zwei"}, log_});
  wait_for_exit();
  ::unsetenv("SPILLWAY_TEST_SECRET");
  EXPECT_EQ(content_of(log_), "ONE=1\nTWO=zwei\n");
}

TEST_F(ProcessTest, no_descriptor_is_inherited) {
  const FileDescriptor leak(::open("/dev/null", O_RDONLY));  // without O_CLOEXEC
  ASSERT_TRUE(leak.valid());
  const auto process = start(shell("ls /proc/$$/fd"));
  wait_for_exit();
  std::istringstream names(content_of(log_));
  for (std::string name; names >> name;) EXPECT_LE(std::stoi(name), 2) << name;
}

TEST_F(ProcessTest, no_signal_is_blocked_or_ignored) {
  sigset_t blocked;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
  const auto before = ::signal(SIGPIPE, SIG_IGN);
  const auto process = start({"/bin/grep", {"-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"}, {}, log_});
  wait_for_exit();
  ::signal(SIGPIPE, before);
  ::pthread_sigmask(SIG_UNBLOCK, &blocked, nullptr);
  EXPECT_THAT(content_of(log_), HasSubstr("SigBlk:\t0000000000000000"));
  EXPECT_THAT(content_of(log_), HasSubstr("SigIgn:\t0000000000000000"));
}

TEST_F(ProcessTest, the_child_leads_a_group_of_its_own) {
  const auto process = start({"/bin/sleep", {"1000"}, {}, log_});
  EXPECT_EQ(::getpgid(process->pid()), process->pid());
  EXPECT_NE(::getpgid(0), process->pid());
}

TEST_F(ProcessTest, what_the_child_started_ends_with_the_group) {
  const auto process = start(shell("sleep 1000 & echo $!; wait"));
  const Watch grandchild(std::stoi(first_line()));
  process->kill_group(SIGKILL);
  wait_for_exit();
  EXPECT_TRUE(grandchild.ends());
}

TEST_F(ProcessTest, what_the_child_leaves_behind_is_killed) {
  const auto process = start(shell("sleep 1000 & echo $!; exit 3"));
  const Watch grandchild(std::stoi(first_line()));
  EXPECT_EQ(wait_for_exit(), (ExitStatus{3, 0}));
  EXPECT_TRUE(grandchild.ends());
}

TEST_F(ProcessTest, destruction_ends_the_child_without_a_call) {
  auto process = start({"/bin/sleep", {"1000"}, {}, log_});
  const Watch child(process->pid());
  process.reset();
  EXPECT_TRUE(child.ends());
  loop_.poll();
  EXPECT_FALSE(exit_.has_value());
}

TEST_F(ProcessTest, the_handler_may_destroy_the_process) {
  auto started = Process::start(loop_, shell("exit 0"));
  ASSERT_TRUE(started.ok());
  std::unique_ptr<Process> process = std::move(started).value();
  process->on_exit([&](ExitStatus) { process.reset(); });
  EXPECT_TRUE(run_until(loop_, [&] { return process == nullptr; }));
}

TEST_F(ProcessTest, a_program_that_cannot_be_run_is_named) {
  const auto missing = Process::start(loop_, {"/nowhere/engine", {}, {}, log_});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, HasSubstr("/nowhere/engine"));
  const auto no_program = Process::start(loop_, {folder_.write("text", "hello"), {}, {}, log_});
  ASSERT_FALSE(no_program.ok());
  EXPECT_EQ(no_program.error().code, ErrorCode::kPermissionDenied);
}

TEST_F(ProcessTest, a_log_that_cannot_be_opened_is_named) {
  const auto refused = Process::start(loop_, {"/bin/true", {}, {}, folder_.path() / "nowhere" / "log"});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().message, HasSubstr("nowhere/log"));
}

TEST_F(ProcessTest, kill_9_of_the_parent_leaves_no_child) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const FileDescriptor read_end(ends[0]);
  FileDescriptor write_end(ends[1]);
  const pid_t parent = ::fork();
  ASSERT_GE(parent, 0);
  if (parent == 0) {
    boost::asio::io_context loop(1);
    const auto process = Process::start(loop, {"/bin/sleep", {"1000"}, {}, log_});
    const pid_t pid = process.ok() ? process.value()->pid() : -1;
    if (::write(write_end.get(), &pid, sizeof pid) != sizeof pid) ::_exit(1);
    for (;;) ::pause();
  }
  write_end = FileDescriptor();
  pid_t engine = -1;
  ASSERT_EQ(::read(read_end.get(), &engine, sizeof engine), static_cast<ssize_t>(sizeof engine));
  ASSERT_GT(engine, 0);
  const Watch watch(engine);
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  EXPECT_TRUE(watch.ends());
}

}  // namespace
}  // namespace spillway::fleet
