#include "fleet/supervisor.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spillway::fleet {
namespace {

using EventKind = Event::Kind;
using ActionKind = Action::Kind;
using Phase = Supervisor::Phase;

// A Supervisor on a virtual clock, with an engine that does as it is told.
class SupervisorTest : public ::testing::Test {
 protected:
  std::vector<Action> feed(Event event) {
    last_ = supervisor_.handle(event, now_, uniform01_);
    return last_;
  }
  std::vector<Action> feed(EventKind kind) { return feed(Event{.kind = kind}); }
  std::vector<Action> probe_says(EventKind kind, std::string text = {}) {
    return feed(Event{.kind = kind, .start = supervisor_.starts(), .text = std::move(text)});
  }
  // Lets the time of the armed timer come.
  std::vector<Action> fire() {
    EXPECT_NE(supervisor_.next_timer(), TimePoint::max());
    now_ = std::max(now_, supervisor_.next_timer());
    return feed(EventKind::kTimer);
  }

  [[nodiscard]] bool did(ActionKind kind) const {
    return std::ranges::any_of(last_, [&](const Action& action) { return action.kind == kind; });
  }
  [[nodiscard]] Duration until_timer() const { return supervisor_.next_timer() - now_; }

  void start() {
    feed(EventKind::kStart);
    ASSERT_TRUE(did(ActionKind::kStartProcess));
    feed(EventKind::kStarted);
    ASSERT_EQ(supervisor_.phase(), Phase::kProbing);
  }
  void become_ready() {
    fire();
    ASSERT_TRUE(did(ActionKind::kProbe));
    probe_says(EventKind::kProbeOk);
    ASSERT_EQ(supervisor_.phase(), Phase::kReady);
  }
  void exit(std::string how = "it exited with code 1") {
    feed(Event{.kind = EventKind::kExited, .text = std::move(how)});
  }
  void restart() {
    fire();
    ASSERT_TRUE(did(ActionKind::kStartProcess));
    feed(EventKind::kStarted);
  }

  Supervisor supervisor_{Supervisor::Timing{}};
  TimePoint now_ = TimePoint(seconds(1000));
  double uniform01_ = 1;
  std::vector<Action> last_;
};

TEST_F(SupervisorTest, nothing_happens_before_it_is_asked_to_start) {
  EXPECT_TRUE(feed(EventKind::kTimer).empty());
  EXPECT_TRUE(feed(EventKind::kExited).empty());
  EXPECT_EQ(supervisor_.phase(), Phase::kIdle);
}

TEST_F(SupervisorTest, an_engine_is_ready_when_a_probe_says_so) {
  start();
  EXPECT_EQ(until_timer(), kProbeInterval);
  fire();
  EXPECT_TRUE(did(ActionKind::kProbe));
  EXPECT_EQ(last_.back().start, 1);
  probe_says(EventKind::kProbeNotYet);
  EXPECT_EQ(until_timer(), kProbeInterval);
  become_ready();
  EXPECT_TRUE(did(ActionKind::kReport));
  EXPECT_EQ(supervisor_.next_timer(), TimePoint::max());
  EXPECT_EQ(supervisor_.starts(), 1);
}

TEST_F(SupervisorTest, starting_twice_starts_once) {
  start();
  EXPECT_TRUE(feed(EventKind::kStart).empty());
}

TEST_F(SupervisorTest, probes_come_every_100_ms_for_10_s_and_then_every_500_ms) {
  start();
  const TimePoint begin = now_;
  while (now_ - begin < kProbeFastFor) {
    ASSERT_EQ(until_timer(), kProbeInterval);
    fire();
    probe_says(EventKind::kProbeNotYet);
  }
  EXPECT_EQ(until_timer(), kProbeSlowInterval);
}

TEST_F(SupervisorTest, one_probe_at_a_time) {
  start();
  fire();
  EXPECT_EQ(until_timer(), kStartTimeout - kProbeInterval);
  now_ += seconds(5);
  EXPECT_TRUE(feed(EventKind::kTimer).empty());
}

TEST_F(SupervisorTest, an_engine_that_is_not_ready_in_time_is_killed_and_counts_as_a_failed_start) {
  start();
  while (supervisor_.phase() == Phase::kProbing) {
    fire();
    if (did(ActionKind::kProbe)) probe_says(EventKind::kProbeNotYet, "it loads its model");
  }
  EXPECT_EQ(now_ - supervisor_.started_at(), kStartTimeout);
  EXPECT_TRUE(did(ActionKind::kKill));
  EXPECT_EQ(supervisor_.phase(), Phase::kKilling);
  feed(Event{.kind = EventKind::kExited, .text = "it was killed by signal 9", .log = "out of memory"});
  EXPECT_EQ(supervisor_.phase(), Phase::kWaiting);
  EXPECT_EQ(supervisor_.failed_starts(), 1);
  EXPECT_EQ(supervisor_.detail(), "it was not ready within 120 s: it loads its model: out of memory");
}

TEST_F(SupervisorTest, a_probe_that_never_answers_is_bounded_by_the_start_timeout_too) {
  start();
  fire();
  ASSERT_TRUE(did(ActionKind::kProbe));
  fire();
  EXPECT_TRUE(did(ActionKind::kKill));
  EXPECT_EQ(now_ - supervisor_.started_at(), kStartTimeout);
  EXPECT_TRUE(probe_says(EventKind::kProbeOk).empty());
}

TEST_F(SupervisorTest, a_changed_start_timeout_holds_from_the_next_start) {
  start();
  supervisor_.set_start_timeout(seconds(1));
  exit();
  restart();
  fire();
  EXPECT_EQ(until_timer(), seconds(1) - kProbeInterval);
}

TEST_F(SupervisorTest, an_engine_whose_probe_failed_is_killed_at_once) {
  start();
  fire();
  probe_says(EventKind::kProbeFailed, "its template does not render");
  EXPECT_TRUE(did(ActionKind::kKill));
  exit("it was killed by signal 9");
  EXPECT_EQ(supervisor_.detail(), "its template does not render");
  EXPECT_EQ(supervisor_.failed_starts(), 1);
}

TEST_F(SupervisorTest, the_probe_of_an_earlier_start_says_nothing) {
  start();
  fire();
  exit();
  restart();
  fire();
  EXPECT_TRUE(feed(Event{.kind = EventKind::kProbeOk, .start = 1}).empty());
  EXPECT_EQ(supervisor_.phase(), Phase::kProbing);
  probe_says(EventKind::kProbeOk);
  EXPECT_EQ(supervisor_.phase(), Phase::kReady);
}

TEST_F(SupervisorTest, the_timer_of_before_says_nothing) {
  start();
  EXPECT_TRUE(feed(EventKind::kTimer).empty());
  EXPECT_FALSE(did(ActionKind::kProbe));
}

TEST_F(SupervisorTest, failures_are_told_with_what_the_engine_said) {
  start();
  feed(Event{.kind = EventKind::kExited, .text = "it exited with code 1", .log = "no such tensor"});
  EXPECT_EQ(supervisor_.detail(), "it exited with code 1: no such tensor");
}

TEST_F(SupervisorTest, restarts_back_off_twofold_up_to_30_s_with_full_jitter) {
  start();
  Duration expected = kBackoffBase;
  for (int i = 0; i < 12; ++i) {
    uniform01_ = 1;
    exit();
    ASSERT_EQ(until_timer(), expected) << i;
    restart();
    expected = std::min<Duration>(expected * 2, kBackoffLimit);
  }
  uniform01_ = 0.5;
  exit();
  EXPECT_EQ(until_timer(), kBackoffLimit / 2);
}

TEST(FullJitter, stays_within_its_bounds) {
  EXPECT_EQ(full_jitter(1, kBackoffBase, kBackoffLimit, 0), Duration::zero());
  EXPECT_EQ(full_jitter(1, kBackoffBase, kBackoffLimit, 1), kBackoffBase);
  EXPECT_EQ(full_jitter(4, kBackoffBase, kBackoffLimit, 1), kBackoffBase * 8);
  EXPECT_EQ(full_jitter(1'000'000, kBackoffBase, kBackoffLimit, 1), kBackoffLimit);
}

TEST_F(SupervisorTest, a_crash_after_a_long_good_time_restarts_within_250_ms) {
  start();
  for (int i = 0; i < 5; ++i) {
    exit();
    restart();
  }
  become_ready();
  now_ += kStableAfter;
  exit("it was killed by signal 9");
  EXPECT_EQ(supervisor_.phase(), Phase::kWaiting);
  EXPECT_LE(until_timer(), kBackoffBase);
  EXPECT_FALSE(supervisor_.failing());
}

TEST_F(SupervisorTest, a_crash_after_a_short_good_time_backs_off_further) {
  start();
  exit();
  restart();
  become_ready();
  now_ += kStableAfter - milliseconds(1);
  exit();
  EXPECT_EQ(until_timer(), kBackoffBase * 2);
}

TEST_F(SupervisorTest, three_failed_starts_on_end_are_failing_until_it_is_ready) {
  start();
  exit();
  restart();
  exit();
  EXPECT_FALSE(supervisor_.failing());
  restart();
  exit();
  EXPECT_TRUE(supervisor_.failing());
  restart();
  EXPECT_TRUE(supervisor_.failing());
  become_ready();
  EXPECT_FALSE(supervisor_.failing());
  EXPECT_EQ(supervisor_.starts(), 4);
}

TEST_F(SupervisorTest, crashes_of_a_ready_engine_are_no_failed_starts) {
  start();
  for (int i = 0; i < 5; ++i) {
    become_ready();
    exit();
    restart();
  }
  EXPECT_EQ(supervisor_.failed_starts(), 0);
}

TEST_F(SupervisorTest, a_process_that_cannot_be_made_is_a_failed_start) {
  feed(EventKind::kStart);
  feed(Event{.kind = EventKind::kNotStarted, .text = "cannot run /x: No such file"});
  EXPECT_EQ(supervisor_.phase(), Phase::kWaiting);
  EXPECT_EQ(supervisor_.failed_starts(), 1);
  EXPECT_EQ(supervisor_.detail(), "cannot run /x: No such file");
}

TEST_F(SupervisorTest, stop_terminates_and_kills_after_the_grace) {
  start();
  become_ready();
  feed(EventKind::kStop);
  EXPECT_TRUE(did(ActionKind::kTerminate));
  EXPECT_TRUE(did(ActionKind::kReport));
  EXPECT_EQ(until_timer(), kStopGrace);
  EXPECT_TRUE(feed(EventKind::kStop).empty());
  fire();
  EXPECT_TRUE(did(ActionKind::kKill));
  exit();
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
  EXPECT_FALSE(did(ActionKind::kStartProcess) || did(ActionKind::kArmTimer));
}

TEST_F(SupervisorTest, an_engine_that_ends_within_the_grace_is_not_killed) {
  start();
  feed(EventKind::kStop);
  exit();
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
  now_ += kStopGrace;
  EXPECT_TRUE(feed(EventKind::kTimer).empty());
}

TEST_F(SupervisorTest, stop_while_waiting_ends_at_once) {
  start();
  exit();
  feed(EventKind::kStop);
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
  now_ += kBackoffLimit;
  EXPECT_TRUE(feed(EventKind::kTimer).empty());
}

TEST_F(SupervisorTest, stop_before_the_start_ends_at_once) {
  feed(EventKind::kStop);
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
  EXPECT_TRUE(feed(EventKind::kStart).empty());
}

TEST_F(SupervisorTest, stop_while_the_process_is_made_ends_what_was_made) {
  feed(EventKind::kStart);
  EXPECT_TRUE(feed(EventKind::kStop).empty());
  feed(EventKind::kStarted);
  EXPECT_TRUE(did(ActionKind::kTerminate));
  exit();
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
}

TEST_F(SupervisorTest, stop_while_the_process_cannot_be_made_ends_it) {
  feed(EventKind::kStart);
  feed(EventKind::kStop);
  feed(EventKind::kNotStarted);
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
}

TEST_F(SupervisorTest, stop_while_it_is_killed_waits_for_its_end) {
  start();
  fire();
  probe_says(EventKind::kProbeFailed, "no");
  feed(EventKind::kStop);
  EXPECT_EQ(supervisor_.phase(), Phase::kStopping);
  exit();
  EXPECT_EQ(supervisor_.phase(), Phase::kStopped);
}

}  // namespace
}  // namespace spillway::fleet
