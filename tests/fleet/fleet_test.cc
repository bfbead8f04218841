#include "fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <optional>
#include <thread>

#include "fleet/gguf_bytes.h"
#include "fleet/loop_wait.h"
#include "fleet/memory_book.h"
#include "fleet/models/store.h"
#include "fleet/plan.h"
#include "fleet/stand_in.h"
#include "fleet/temporary_folder.h"

namespace spillway::fleet {
namespace {

using ::testing::HasSubstr;
using State = ReplicaStatus::State;
using testing::alive;
using testing::run_until;

class FleetTest : public ::testing::Test {
 protected:
  FleetTest() {
    model_ = folder_.write("tiny.gguf", testing::tiny_gguf());
    make_fleet();
  }

  void make_fleet() {
    fleet_.reset();
    Fleet::Options options;
    options.data = folder_.path() / "data";
    options.environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = environment_.find(name);
      return found == environment_.end() ? std::nullopt : std::optional(found->second);
    };
    options.probe = testing::make_stand_in_probe(*loop_);
    options.on_change = [this](const ReplicaStatus& status) {
      last_[status.backend] = status;
      ++changes_;
    };
    fleet_ = std::make_unique<Fleet>(*loop_, std::move(options));
  }

  [[nodiscard]] config::Backend local(const std::string& name, const std::string& behaviour = {}) const {
    config::Backend backend;
    backend.name = name;
    backend.engine = "llama.cpp";
    backend.model = model_.string();
    backend.engine_args = {"--stand-in", behaviour};
    return backend;
  }
  static config::Config config_of(std::vector<config::Backend> backends) {
    config::Config config;
    config.backends = std::move(backends);
    return config;
  }

  void apply(std::vector<config::Backend> backends) {
    const Status applied = fleet_->apply(config_of(std::move(backends)));
    ASSERT_TRUE(applied.ok()) << applied.error().message;
  }
  bool wait(const std::function<bool()>& condition) { return run_until(*loop_, condition); }
  bool wait_for(const std::string& name, State state) {
    return wait([&] { return last_.contains(name) && last_[name].state == state; });
  }
  // Runs the loop until `condition` holds, or nothing is left to be done just now.
  void settle() {
    loop_->restart();
    loop_->poll();
  }

  std::unique_ptr<boost::asio::io_context> loop_ = std::make_unique<boost::asio::io_context>(1);
  testing::TemporaryFolder folder_;
  std::filesystem::path model_;
  std::map<std::string, std::string> environment_{{"SPILLWAY_LLAMA_SERVER", STAND_IN_ENGINE}};
  std::map<std::string, ReplicaStatus> last_;
  int changes_ = 0;
  std::unique_ptr<Fleet> fleet_;
};

TEST_F(FleetTest, starts_the_local_backends_and_no_others) {
  config::Backend cloud;
  cloud.name = "cloud";
  cloud.base_url = "https://example.com";
  apply({cloud, local("a"), local("b")});
  EXPECT_TRUE(wait_for("a", State::kReady));
  EXPECT_TRUE(wait_for("b", State::kReady));
  EXPECT_EQ(last_.size(), 2u);
  EXPECT_EQ(fleet_->status().size(), 2u);
  EXPECT_NE(last_["a"].port, last_["b"].port);
  EXPECT_TRUE(last_["a"].lease != nullptr);
  EXPECT_EQ(last_["a"].model, model_.string());
  EXPECT_TRUE(std::filesystem::exists(folder_.path() / "data/log/engine-a.log"));
}

TEST_F(FleetTest, changes_are_told_from_the_loop_and_not_from_within_apply) {
  apply({local("a")});
  EXPECT_EQ(changes_, 0);
  settle();
  EXPECT_EQ(changes_, 1);
  EXPECT_EQ(last_["a"].state, State::kStarting);
}

TEST_F(FleetTest, a_crashed_engine_comes_back_without_help) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus before = last_["a"];
  ::kill(before.pid, SIGKILL);
  ASSERT_TRUE(wait_for("a", State::kStarting));
  EXPECT_EQ(last_["a"].lease, nullptr);
  ASSERT_TRUE(wait_for("a", State::kReady));
  EXPECT_NE(last_["a"].pid, before.pid);
  EXPECT_EQ(last_["a"].restarts, 1);
}

TEST_F(FleetTest, what_is_alike_is_left_and_told_of_again) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int pid = last_["a"].pid;
  last_.clear();
  config::Backend other = local("a");
  other.start_timeout = seconds(7);
  other.region = "eu";
  apply({other});
  settle();
  EXPECT_EQ(last_["a"].pid, pid);
  EXPECT_EQ(last_["a"].state, State::kReady);
}

TEST_F(FleetTest, with_other_settings_the_old_engine_answers_until_the_new_one_is_ready) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int old = last_["a"].pid;
  last_.clear();
  const std::filesystem::path gate = folder_.path() / "gate";
  apply({local("a", "fail-until=" + gate.string())});
  // The new one fails; whoever asks is still told of the old one.
  ASSERT_TRUE(wait([&] {
    const auto all = fleet_->status();
    return all.size() == 2 && all[1].restarts >= 1;
  }));
  EXPECT_EQ(fleet_->status()[0].pid, old);
  EXPECT_TRUE(fleet_->status()[0].serving);
  EXPECT_FALSE(fleet_->status()[1].serving);
  EXPECT_EQ(last_["a"].pid, old);
  EXPECT_EQ(last_["a"].state, State::kReady);
  folder_.write("gate", "");
  ASSERT_TRUE(wait([&] { return last_["a"].pid != old; }));
  EXPECT_EQ(last_["a"].state, State::kReady);
  EXPECT_TRUE(wait([&] { return !alive(old) && fleet_->status().size() == 1; }));
}

TEST_F(FleetTest, an_old_engine_that_dies_gives_way_to_the_new_one) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int old = last_["a"].pid;
  apply({local("a", "deaf")});
  settle();
  EXPECT_EQ(last_["a"].pid, old);
  ::kill(old, SIGKILL);
  ASSERT_TRUE(wait_for("a", State::kStarting));
  EXPECT_NE(last_["a"].pid, old);
  EXPECT_TRUE(wait([&] { return fleet_->status().size() == 1; }));
}

TEST_F(FleetTest, with_another_model_the_old_engine_ends_only_what_was_begun) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus old = last_["a"];  // an answer under way: it holds a lease
  last_.clear();
  config::Backend changed = local("a", "deaf");
  changed.model = folder_.write("other.gguf", testing::tiny_gguf()).string();
  apply({changed});
  ASSERT_TRUE(wait_for("a", State::kStarting));
  EXPECT_TRUE(alive(old.pid));
  EXPECT_EQ(testing::greeting(old.port), old.key);
  EXPECT_EQ(fleet_->status().size(), 2u);
}

TEST_F(FleetTest, a_retired_engine_is_stopped_when_its_last_lease_is_given_back_on_any_thread) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int pid = last_["a"].pid;
  std::shared_ptr<const void> lease = last_["a"].lease;
  apply({});
  ASSERT_TRUE(wait_for("a", State::kStopped));
  last_.clear();
  settle();
  EXPECT_TRUE(alive(pid));
  std::thread([released = std::move(lease)]() mutable { released.reset(); }).join();
  EXPECT_TRUE(wait([&] { return fleet_->status().empty(); }));
  EXPECT_FALSE(alive(pid));
  EXPECT_TRUE(last_.empty());  // nothing is told of a retired one
}

TEST_F(FleetTest, a_retired_engine_is_stopped_after_the_drain_timeout) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus held = last_["a"];
  config::Config none;
  none.server.drain_timeout = milliseconds(20);
  ASSERT_TRUE(fleet_->apply(none).ok());
  EXPECT_TRUE(wait([&] { return fleet_->status().empty(); }));
  EXPECT_FALSE(alive(held.pid));
}

TEST_F(FleetTest, a_retired_engine_that_dies_is_not_started_again) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus held = last_["a"];
  apply({});
  ::kill(held.pid, SIGKILL);
  EXPECT_TRUE(wait([&] { return fleet_->status().empty(); }));
}

TEST_F(FleetTest, an_engine_that_is_not_ready_is_stopped_as_soon_as_it_is_not_wanted) {
  apply({local("a", "deaf")});
  const int pid = fleet_->status().at(0).pid;
  apply({});
  EXPECT_TRUE(wait([&] { return fleet_->status().empty(); }));
  EXPECT_FALSE(alive(pid));
  EXPECT_EQ(last_["a"].state, State::kStopped);
}

TEST_F(FleetTest, one_of_several_models_is_loaded_when_it_is_told_to_be) {
  config::Backend member = local("a");
  member.member_of = "pool";
  apply({member});
  ASSERT_TRUE(wait_for("a", State::kUnloaded));
  EXPECT_EQ(last_["a"].pid, 0);
  EXPECT_GT(last_["a"].memory.total(), 0u);
  fleet_->load("a");
  fleet_->load("a");
  ASSERT_TRUE(wait_for("a", State::kReady));
  EXPECT_EQ(fleet_->status().size(), 1u);
  fleet_->load("nobody");
  fleet_->unload("nobody");
}

TEST_F(FleetTest, one_that_is_unloaded_ends_when_its_last_lease_is_given_back_however_late) {
  config::Backend member = local("a");
  member.member_of = "pool";
  config::Config config = config_of({member});
  config.server.drain_timeout = milliseconds(1);
  ASSERT_TRUE(fleet_->apply(config).ok());
  fleet_->load("a");
  ASSERT_TRUE(wait_for("a", State::kReady));
  std::shared_ptr<const void> lease = last_["a"].lease;
  const int pid = last_["a"].pid;
  fleet_->unload("a");
  EXPECT_EQ(last_["a"].state, State::kUnloaded);
  for (int i = 0; i < 20; ++i) settle();
  EXPECT_TRUE(alive(pid));
  EXPECT_EQ(fleet_->status().size(), 2u);
  lease.reset();
  EXPECT_TRUE(wait([&] { return !alive(pid) && fleet_->status().size() == 1; }));
  fleet_->load("a");
  EXPECT_TRUE(wait_for("a", State::kReady));
}

TEST_F(FleetTest, an_old_engine_stays_where_the_new_one_would_have_no_room_without_it_either) {
  Store store(folder_.path() / "data/models");
  const Result<Model> model = store.import({model_, "tiny:1b", "", "", ""});
  ASSERT_TRUE(model.ok());
  config::Backend small = local("a");
  small.model = "tiny:1b";
  apply({small});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int pid = last_["a"].pid;
  // All but a little of the machine: more than is free, as it was measured once.
  config::Backend large = small;
  large.context = 8192;
  MemoryBook book(folder_.path() / "data/memory.json");
  const std::uint64_t most = memory_for_engines(false) - 1'000'000;
  ASSERT_GT(most, memory_for_engines(true));
  ASSERT_TRUE(book.note(model->digest, {.context = 8192, .slots = 2}, {most, 0, 0}).ok());
  apply({large});
  ASSERT_TRUE(wait([&] {
    return std::ranges::any_of(fleet_->status(),
                               [](const ReplicaStatus& each) { return each.state == State::kFailing; });
  }));
  EXPECT_TRUE(alive(pid));
  EXPECT_EQ(last_["a"].pid, pid);
  large.context = 1 << 22;  // cannot fit even alone
  ASSERT_TRUE(book.note(model->digest, {.context = 1 << 22, .slots = 2}, {std::uint64_t{1} << 50, 0, 0}).ok());
  const Status refused = fleet_->apply(config_of({large}));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
}

TEST_F(FleetTest, stop_ends_all_and_says_so) {
  apply({local("a"), local("b", "deaf"), local("c", "fail")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const auto before = fleet_->status();
  bool stopped = false;
  fleet_->stop([&] { stopped = true; });
  EXPECT_FALSE(stopped);
  ASSERT_TRUE(wait([&] { return stopped; }));
  for (const ReplicaStatus& status : before) EXPECT_FALSE(status.pid != 0 && alive(status.pid));
  EXPECT_EQ(last_["a"].state, State::kStopped);
  EXPECT_FALSE(fleet_->apply(config_of({local("a")})).ok());
}

TEST_F(FleetTest, stop_of_nothing_says_so_too) {
  bool stopped = false;
  fleet_->stop([&] { stopped = true; });
  EXPECT_TRUE(wait([&] { return stopped; }));
}

TEST_F(FleetTest, stop_ends_retired_engines_as_well) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus held = last_["a"];
  apply({});
  bool stopped = false;
  fleet_->stop([&] { stopped = true; });
  ASSERT_TRUE(wait([&] { return stopped; }));
  EXPECT_FALSE(alive(held.pid));
}

TEST_F(FleetTest, destruction_kills_what_runs_and_leases_may_outlive_fleet_and_loop) {
  apply({local("a", "stubborn")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const ReplicaStatus held = last_["a"];
  fleet_.reset();
  EXPECT_FALSE(alive(held.pid));
  loop_.reset();
  last_.clear();
}

TEST_F(FleetTest, check_starts_nothing) {
  EXPECT_TRUE(fleet_->check(config_of({local("a")})).ok());
  settle();
  EXPECT_TRUE(fleet_->status().empty());
  EXPECT_EQ(changes_, 0);
}

class FleetCheck : public FleetTest {
 protected:
  // Refused alike by check() and apply(), naming the Backend, with nothing changed.
  Error refusal(const config::Backend& backend) {
    const Status checked = fleet_->check(config_of({local("fine"), backend}));
    const Status applied = fleet_->apply(config_of({local("fine"), backend}));
    EXPECT_FALSE(checked.ok() || applied.ok());
    EXPECT_TRUE(fleet_->status().empty());
    if (checked.ok() || applied.ok()) return {};
    EXPECT_EQ(checked.error().message, applied.error().message);
    EXPECT_THAT(checked.error().message, HasSubstr("backend \"broken\": "));
    EXPECT_NE(checked.error().hint, "");
    return checked.error();
  }
};

TEST_F(FleetCheck, names_a_model_that_is_missing) {
  config::Backend backend = local("broken");
  backend.model = "absent:1b";
  EXPECT_THAT(refusal(backend).message, HasSubstr("absent:1b"));
  backend.model = "./absent.gguf";
  EXPECT_THAT(refusal(backend).message, HasSubstr("absent.gguf"));
}

TEST_F(FleetCheck, names_a_model_that_is_broken) {
  config::Backend backend = local("broken");
  backend.model = folder_.write("cut.gguf", testing::tiny_gguf().substr(0, 200)).string();
  EXPECT_THAT(refusal(backend).message, HasSubstr("cut.gguf"));
}

TEST_F(FleetCheck, names_a_missing_engine) {
  environment_ = {{"SPILLWAY_LLAMA_SERVER", "/nowhere/llama-server"}};
  EXPECT_THAT(fleet_->check(config_of({local("broken")})).error().message, HasSubstr("/nowhere/llama-server"));
  environment_.clear();
  EXPECT_THAT(fleet_->check(config_of({local("broken")})).error().hint, HasSubstr("script/setup"));
}

TEST_F(FleetCheck, names_an_engine_a_launcher_and_arguments_that_cannot_be) {
  config::Backend backend = local("broken");
  backend.engine = "vllm";
  EXPECT_THAT(refusal(backend).message, HasSubstr("vllm"));
  backend = local("broken");
  backend.launcher = "docker";
  EXPECT_THAT(refusal(backend).message, HasSubstr("docker"));
  backend = local("broken");
  backend.engine_args = {"--port", "1"};
  EXPECT_THAT(refusal(backend).message, HasSubstr("--port"));
}

TEST_F(FleetCheck, names_a_log_that_cannot_be_written) {
  folder_.write("data/log", "a file where the folder should be");
  const Status checked = fleet_->check(config_of({local("broken")}));
  ASSERT_FALSE(checked.ok());
  EXPECT_THAT(checked.error().message, HasSubstr("backend \"broken\": "));
  EXPECT_THAT(checked.error().message, HasSubstr("/log"));
  EXPECT_NE(checked.error().hint, "");
  EXPECT_FALSE(fleet_->apply(config_of({local("broken")})).ok());
  EXPECT_TRUE(fleet_->status().empty());
}

TEST_F(FleetCheck, an_error_leaves_what_runs_as_it_is) {
  apply({local("a")});
  ASSERT_TRUE(wait_for("a", State::kReady));
  const int pid = last_["a"].pid;
  config::Backend broken = local("b");
  broken.model = "absent";
  EXPECT_FALSE(fleet_->apply(config_of({broken})).ok());
  settle();
  EXPECT_EQ(fleet_->status().at(0).pid, pid);
  EXPECT_TRUE(alive(pid));
}

}  // namespace
}  // namespace spillway::fleet
