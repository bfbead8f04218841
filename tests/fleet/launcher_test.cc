#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <optional>

#include "fleet/launcher/control_group.h"
#include "fleet/launcher/process.h"
#include "fleet/launcher/process_launcher.h"
#include "fleet/loop_wait.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using testing::content_of;
using ::testing::HasSubstr;
using testing::run_until;

// Runs a shell script in an engine's place.
class ShellEngine : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "shell"; }
  [[nodiscard]] Capabilities capabilities() const override { return {}; }
  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& /*environment*/) const override {
    return std::filesystem::path("/bin/sh");
  }
  [[nodiscard]] Status check_arguments(const std::vector<std::string>& /*engine_args*/) const override { return {}; }
  [[nodiscard]] std::vector<std::string> arguments(const EngineStart& start) const override {
    return {"-c", start.backend.engine_args.at(0)};
  }
  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& /*inherited*/,
                                                     const EngineStart& start) const override {
    return {"PATH=/usr/bin:/bin", "PORT=" + std::to_string(start.port)};
  }
  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view /*text*/) const override { return {}; }
};

class ProcessLauncherTest : public ::testing::Test {
 protected:
  Instance& start(const std::string& script, double cpus = 0, std::uint64_t memory = 0,
                  std::vector<std::string> gpus = {}) {
    ReplicaPlan plan;
    plan.backend.name = "a";
    plan.backend.engine_args = {script};
    plan.backend.cpus = cpus;
    plan.backend.memory = memory;
    plan.backend.gpus = std::move(gpus);
    plan.program = "/bin/sh";
    plan.log_file = log_;
    plan.engine = &engine_;
    launcher_->start(plan, [this](Result<std::unique_ptr<Instance>> started) {
      ASSERT_TRUE(started.ok()) << started.error().message;
      instance_ = std::move(started).value();
    });
    instance_->on_exit([this](Exit exit) { exit_ = std::move(exit); });
    return *instance_;
  }
  Exit wait_for_exit() {
    EXPECT_TRUE(run_until(loop_, [this] { return exit_.has_value(); }));
    return exit_.value_or(Exit{});
  }
  std::string log() { return content_of(log_); }

  boost::asio::io_context loop_{1};
  testing::TemporaryFolder folder_;
  std::filesystem::path log_ = folder_.path() / "log";
  ShellEngine engine_;
  std::unique_ptr<Launcher> launcher_ = make_process_launcher(loop_);
  std::unique_ptr<Instance> instance_;
  std::optional<Exit> exit_;
};

TEST_F(ProcessLauncherTest, a_process_gets_its_port_and_says_how_it_ended) {
  const std::uint16_t port = start("echo $PORT; exit 3").port();
  const Exit exit = wait_for_exit();
  EXPECT_EQ(exit.text, "it exited with code 3");
  EXPECT_FALSE(exit.from_outside || exit.out_of_memory);
  EXPECT_EQ(log(), std::to_string(port) + "\n");
}

TEST_F(ProcessLauncherTest, who_killed_it_is_told) {
  start("sleep 1000").kill();
  EXPECT_FALSE(wait_for_exit().from_outside);
  exit_.reset();
  ::kill(start("sleep 1000").pid(), SIGKILL);
  EXPECT_TRUE(wait_for_exit().from_outside);
}

#define NEEDS_CONTROL_GROUPS() \
  if (!ControlGroup::make(Root(), {1, 64u << 20}).ok()) GTEST_SKIP() << "no control group can be made here"

TEST_F(ProcessLauncherTest, more_memory_than_it_may_have_is_told_with_the_bound) {
  NEEDS_CONTROL_GROUPS();
  start("x=0123456789abcdef; while :; do x=$x$x; done", 0, 64u << 20);
  const Exit exit = wait_for_exit();
  EXPECT_TRUE(exit.out_of_memory) << exit.text;
  EXPECT_THAT(exit.text, HasSubstr("64MiB"));
}

TEST_F(ProcessLauncherTest, processors_are_bounded_and_their_time_is_counted) {
  NEEDS_CONTROL_GROUPS();
  Instance& busy = start("while :; do :; done", 0.5);
  // Measured over the time that the bound itself is worth: a second of half a processor takes two.
  const TimePoint began = now();
  ASSERT_TRUE(run_until(loop_, [&] { return busy.processor_time() >= milliseconds(500); }));
  EXPECT_GE(now() - began, milliseconds(850));
  EXPECT_LE(now() - began, seconds(5));
}

TEST_F(ProcessLauncherTest, gpus_are_named_to_it) {
  start("echo $CUDA_VISIBLE_DEVICES", 0, 0, {"0", "GPU-1"});
  wait_for_exit();
  EXPECT_EQ(log(), "0,GPU-1\n");
}

TEST_F(ProcessLauncherTest, control_groups_go_with_their_process) {
  for (const char* script : {"sleep 1000 & exit 0", "exit 0"}) {  // what one leaves to die a moment longer goes later
    exit_.reset();
    start(script, 1, 64u << 20);
    wait_for_exit();
    instance_.reset();
  }
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           "/sys/fs/cgroup", std::filesystem::directory_options::skip_permission_denied)) {
    EXPECT_THAT(entry.path().string(), ::testing::Not(HasSubstr("spillway.engine." + std::to_string(::getpid()))));
  }
}

// --- control groups of both versions, in folders of a test ---------------------------------------------------------

class ControlGroupTest : public ::testing::Test {
 protected:
  void write(const std::string& path, const std::string& text) { folder_.write(path, text); }
  std::string read(const std::filesystem::path& path) { return content_of(path); }

  testing::TemporaryFolder folder_;
  Root root_{folder_.path()};
};

TEST_F(ControlGroupTest, version_2_bounds_memory_and_processors_below_our_own_group) {
  write("proc/self/cgroup", "0::/system.slice/spillway.service\n");
  write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids\n");
  write("sys/fs/cgroup/system.slice/spillway.service/cgroup.subtree_control", "");
  const auto group = ControlGroup::make(root_, {1.5, 512u << 20});
  ASSERT_TRUE(group.ok()) << group.error().message;
  ASSERT_EQ((*group)->entrances().size(), 1U);
  const std::filesystem::path made = (*group)->entrances()[0].parent_path();
  EXPECT_EQ(made.parent_path(), folder_.path() / "sys/fs/cgroup/system.slice/spillway.service");
  EXPECT_EQ(read(made / "cpu.max"), "150000 100000");
  EXPECT_EQ(read(made / "memory.max"), std::to_string(512u << 20));
  EXPECT_EQ(read(made / "memory.oom.group"), "1");
  EXPECT_EQ(read(made / "memory.swap.max"), "0");
  EXPECT_EQ(read(made.parent_path() / "cgroup.subtree_control"), "+memory +cpu");
  EXPECT_FALSE((*group)->out_of_memory());
  std::ofstream(made / "memory.events") << "low 0\noom 1\noom_kill 1\n";
  EXPECT_TRUE((*group)->out_of_memory());
}

TEST_F(ControlGroupTest, version_2_makes_way_where_processes_stand_in_the_group) {
  write("proc/self/cgroup", "0::/a/spillway.gateway\n");  // as it is after the first engine
  write("sys/fs/cgroup/cgroup.controllers", "cpu memory\n");
  write("sys/fs/cgroup/a/cgroup.subtree_control", "memory\n");
  const auto group = ControlGroup::make(root_, {0, 64u << 20});
  ASSERT_TRUE(group.ok()) << group.error().message;
  EXPECT_EQ((*group)->entrances()[0].parent_path().parent_path(), folder_.path() / "sys/fs/cgroup/a");
}

TEST_F(ControlGroupTest, version_1_has_a_folder_for_each_controller) {
  write("proc/self/cgroup", "4:memory:/docker/x\n1:cpu,cpuacct:/\n0::/\n");
  write("sys/fs/cgroup/memory/memory.limit_in_bytes", "");  // a container sees its own part of the tree as the whole
  write("sys/fs/cgroup/cpu/cpu.shares", "");
  const auto group = ControlGroup::make(root_, {0.25, 64u << 20});
  ASSERT_TRUE(group.ok()) << group.error().message;
  ASSERT_EQ((*group)->entrances().size(), 2U);
  const std::filesystem::path memory = (*group)->entrances()[0].parent_path();
  EXPECT_EQ(memory.parent_path(), folder_.path() / "sys/fs/cgroup/memory");
  EXPECT_EQ(read(memory / "memory.limit_in_bytes"), std::to_string(64u << 20));
  EXPECT_EQ(read((*group)->entrances()[1].parent_path() / "cpu.cfs_quota_us"), "25000");
  std::ofstream(memory / "memory.oom_control") << "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n";
  EXPECT_TRUE((*group)->out_of_memory());
}

TEST_F(ControlGroupTest, where_none_can_be_made_that_is_an_error) {
  EXPECT_FALSE(ControlGroup::make(root_, {1, 0}).ok());
}

// --- without one ----------------------------------------------------------------------------------------------------

TEST(ProcessBounds, rlimit_and_processors_hold_without_a_group) {
  boost::asio::io_context loop;
  testing::TemporaryFolder folder;
  ProcessSpec spec{"/bin/sh", {"-c", "ulimit -d; nproc"}, {"PATH=/usr/bin:/bin"}, folder.path() / "log"};
  spec.data_limit = 96u << 20;
  spec.processors = 1;
  auto process = Process::start(loop, spec);
  ASSERT_TRUE(process.ok());
  bool ended = false;
  (*process)->on_exit([&](ExitStatus) { ended = true; });
  ASSERT_TRUE(run_until(loop, [&] { return ended; }));
  EXPECT_EQ(content_of(folder.path() / "log"), "98304\n1\n");
}

}  // namespace
}  // namespace spillway::fleet
