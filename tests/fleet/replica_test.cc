#include "fleet/replica.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "fleet/launcher/process_launcher.h"
#include "fleet/loop_wait.h"
#include "fleet/stand_in.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using ::testing::HasSubstr;
using State = ReplicaStatus::State;
using testing::alive;
using testing::run_until;

class ReplicaTest : public ::testing::Test {
 protected:
  ReplicaTest() {
    timing_.probe_interval = milliseconds(5);
    timing_.backoff_base = milliseconds(1);
    timing_.backoff_limit = milliseconds(2);
  }

  // A Replica whose engine behaves as told; not started.
  Replica& make(const std::string& behaviour, milliseconds start_timeout = seconds(60)) {
    ReplicaPlan plan;
    plan.backend.name = "local";
    plan.backend.model = "tiny:1b";
    plan.backend.engine = "llama.cpp";
    plan.backend.engine_args = {"--stand-in", behaviour};
    plan.backend.start_timeout = start_timeout;
    plan.engine = find_engine("llama.cpp");
    plan.program = program_;
    plan.log_file = folder_.path() / "engine.log";
    plan.memory = memory_;
    replica_ = std::make_unique<Replica>(loop_, *launcher_, plan, probe_, timing_,
                                         [this] { seen_.push_back(replica_->status()); });
    return *replica_;
  }

  bool wait_for(State state) {
    return run_until(loop_, [&] { return !seen_.empty() && seen_.back().state == state; });
  }
  bool wait_until_ended() {
    return run_until(loop_, [&] { return replica_->ended(); });
  }

  boost::asio::io_context loop_{1};
  testing::TemporaryFolder folder_;
  Supervisor::Timing timing_;
  MemoryUse memory_;
  std::filesystem::path program_ = STAND_IN_ENGINE;
  Probe probe_ = testing::make_stand_in_probe(loop_);
  std::vector<ReplicaStatus> seen_;
  std::unique_ptr<Launcher> launcher_ = make_process_launcher(loop_);
  std::unique_ptr<Replica> replica_;
};

TEST_F(ReplicaTest, becomes_ready_with_a_port_and_a_key_of_its_own) {
  make("").start();
  ASSERT_TRUE(wait_for(State::kReady));
  const ReplicaStatus status = replica_->status();
  EXPECT_GT(status.port, 0);
  EXPECT_EQ(status.key.size(), 48u);
  EXPECT_EQ(testing::greeting(status.port), status.key);
  EXPECT_TRUE(alive(status.pid));
  EXPECT_EQ(status.restarts, 0);
  EXPECT_EQ(status.detail, "");
  EXPECT_EQ(seen_.front().state, State::kStarting);
  EXPECT_EQ(seen_.front().port, 0);
}

TEST_F(ReplicaTest, a_killed_engine_is_seen_within_100_ms_and_comes_back_with_another_key) {
  make("").start();
  ASSERT_TRUE(wait_for(State::kReady));
  const ReplicaStatus before = replica_->status();
  ::kill(before.pid, SIGKILL);
  const TimePoint killed = now();
  ASSERT_TRUE(run_until(loop_, [&] { return seen_.back().state != State::kReady; }));
  EXPECT_LT(now() - killed, milliseconds(100));
  EXPECT_EQ(seen_.back().key, "");
  ASSERT_TRUE(wait_for(State::kReady));
  const ReplicaStatus after = replica_->status();
  EXPECT_NE(after.pid, before.pid);
  EXPECT_NE(after.key, before.key);
  EXPECT_EQ(after.restarts, 1);
  EXPECT_EQ(after.detail, "it was killed by signal 9 (Killed)");
}

TEST_F(ReplicaTest, an_engine_that_cannot_start_is_failing_until_it_can) {
  const std::filesystem::path mended = folder_.path() / "mended";
  make("fail-until=" + mended.string()).start();
  ASSERT_TRUE(wait_for(State::kFailing));
  EXPECT_EQ(seen_.back().detail, "it exited with code 1: stand_in: cannot load the model");
  folder_.write("mended", "");
  EXPECT_TRUE(wait_for(State::kReady));
}

TEST_F(ReplicaTest, what_has_no_room_is_not_tried) {
  memory_.weights = std::uint64_t{1} << 50;
  make("").start();
  ASSERT_TRUE(wait_for(State::kFailing));
  EXPECT_TRUE(replica_->lacks_memory());
  EXPECT_THAT(seen_.back().detail, HasSubstr("needs 1125899.91 GB of memory"));
  EXPECT_THAT(seen_.back().detail, HasSubstr("there is room for"));
  EXPECT_EQ(seen_.back().pid, 0);
  EXPECT_FALSE(std::filesystem::exists(folder_.path() / "engine.log"));
}

TEST_F(ReplicaTest, an_engine_that_never_answers_is_given_up_after_the_start_timeout) {
  make("deaf", milliseconds(50)).start();
  ASSERT_TRUE(run_until(loop_, [&] { return replica_->status().restarts >= 1; }));
  EXPECT_THAT(replica_->status().detail, HasSubstr("it was not ready within"));
  EXPECT_THAT(replica_->status().detail, HasSubstr("it does not listen yet"));
}

TEST_F(ReplicaTest, an_engine_whose_probe_fails_is_replaced) {
  int probes = 0;
  probe_ = [&](const ProbeRequest&, const std::function<void(Status)>& done) {
    const Status status =
        ++probes == 1 ? Status(Error{ErrorCode::kInternal, "its first completion was empty"}) : Status();
    boost::asio::post(loop_, [done, status] { done(status); });
  };
  make("").start();
  ASSERT_TRUE(wait_for(State::kReady));
  EXPECT_EQ(replica_->status().restarts, 1);
  EXPECT_THAT(replica_->status().detail, HasSubstr("its first completion was empty"));
}

TEST_F(ReplicaTest, a_missing_program_is_told_and_tried_again) {
  program_ = "/nowhere/llama-server";
  make("").start();
  ASSERT_TRUE(wait_for(State::kFailing));
  EXPECT_THAT(seen_.back().detail, HasSubstr("/nowhere/llama-server"));
  EXPECT_EQ(seen_.back().pid, 0);
}

TEST_F(ReplicaTest, stop_ends_the_engine) {
  make("").start();
  ASSERT_TRUE(wait_for(State::kReady));
  const int pid = replica_->status().pid;
  replica_->stop();
  EXPECT_EQ(replica_->status().state, State::kStopped);
  ASSERT_TRUE(wait_until_ended());
  EXPECT_FALSE(alive(pid));
  EXPECT_EQ(replica_->status().pid, 0);
  EXPECT_TRUE(wait_for(State::kStopped));
}

TEST_F(ReplicaTest, stop_while_it_loads_ends_the_engine) {
  make("deaf").start();
  const int pid = replica_->status().pid;
  EXPECT_TRUE(alive(pid));
  replica_->stop();
  ASSERT_TRUE(wait_until_ended());
  EXPECT_FALSE(alive(pid));
}

TEST_F(ReplicaTest, an_engine_that_ignores_sigterm_is_killed_after_the_grace) {
  timing_.stop_grace = milliseconds(50);
  make("stubborn").start();
  ASSERT_TRUE(wait_for(State::kReady));  // by then it ignores SIGTERM
  const TimePoint stopped = now();
  replica_->stop();
  ASSERT_TRUE(wait_until_ended());
  EXPECT_GE(now() - stopped, timing_.stop_grace);
}

TEST_F(ReplicaTest, destruction_ends_the_engine_and_late_probes_find_nobody) {
  std::function<void(Status)> late;
  probe_ = [&](const ProbeRequest&, std::function<void(Status)> done) { late = std::move(done); };
  make("").start();
  ASSERT_TRUE(run_until(loop_, [&] { return late != nullptr; }));
  const int pid = replica_->status().pid;
  replica_.reset();
  EXPECT_FALSE(alive(pid));
  late(Status());
  loop_.poll();
}

TEST_F(ReplicaTest, states_have_names) {
  EXPECT_EQ(to_string(State::kStarting), "starting");
  EXPECT_EQ(to_string(State::kReady), "ready");
  EXPECT_EQ(to_string(State::kFailing), "failing");
  EXPECT_EQ(to_string(State::kStopped), "stopped");
}

}  // namespace
}  // namespace spillway::fleet
