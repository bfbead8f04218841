#include "base/loop_timers.h"

#include <gtest/gtest.h>

#include <list>
#include <memory>
#include <random>

namespace spillway {
namespace {

class Timers : public ::testing::Test {
 protected:
  // Runs the loop until `condition` holds; false when that takes far too long.
  template <class Condition>
  bool run_until(Condition condition) {
    const TimePoint patience = now() + seconds(30);
    while (!condition()) {
      if (now() > patience) return false;
      loop_.restart();
      loop_.run_one_for(milliseconds(10));
    }
    return true;
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
};

TEST_F(Timers, an_entry_fires_once_and_never_early) {
  int fired = 0;
  TimePoint at;
  LoopTimers::Entry entry(timers_, [&] {
    ++fired;
    at = now();
  });
  const TimePoint due = now() + milliseconds(15);
  entry.arm(due);
  EXPECT_TRUE(entry.armed());
  ASSERT_TRUE(run_until([&] { return fired > 0; }));
  EXPECT_GE(at, due);
  EXPECT_FALSE(entry.armed());
  const TimePoint later = now() + milliseconds(20);
  ASSERT_TRUE(run_until([&] { return now() > later; }));
  EXPECT_EQ(fired, 1);
}

TEST_F(Timers, many_entries_fire_all_and_none_of_them_early) {
  constexpr int kCount = 5000;
  std::mt19937 random(1);
  std::uniform_int_distribution<int> micros(0, 120'000);
  int fired = 0;
  int early = 0;
  std::list<LoopTimers::Entry> entries;
  for (int i = 0; i < kCount; ++i) {
    const TimePoint due = now() + microseconds(micros(random));
    auto& entry = entries.emplace_back(timers_, [&fired, &early, due] {
      ++fired;
      if (now() < due) ++early;
    });
    entry.arm(due);
  }
  ASSERT_TRUE(run_until([&] { return fired == kCount; }));
  EXPECT_EQ(early, 0);
}

TEST_F(Timers, arming_later_puts_it_off_and_arming_earlier_brings_it_on) {
  bool late_fired = false;
  bool soon_fired = false;
  LoopTimers::Entry late(timers_, [&] { late_fired = true; });
  LoopTimers::Entry soon(timers_, [&] { soon_fired = true; });
  late.arm(now() + milliseconds(1));
  late.arm(now() + seconds(600));
  soon.arm(now() + seconds(600));
  soon.arm(now() + milliseconds(30));
  ASSERT_TRUE(run_until([&] { return soon_fired; }));
  EXPECT_FALSE(late_fired);
  EXPECT_TRUE(late.armed());
}

TEST_F(Timers, a_disarmed_entry_does_not_fire_and_can_be_armed_again) {
  int fired = 0;
  bool other = false;
  LoopTimers::Entry entry(timers_, [&] { ++fired; });
  LoopTimers::Entry after(timers_, [&] { other = true; });
  entry.arm(now() + milliseconds(2));
  entry.disarm();
  EXPECT_FALSE(entry.armed());
  after.arm(now() + milliseconds(15));
  ASSERT_TRUE(run_until([&] { return other; }));
  EXPECT_EQ(fired, 0);
  entry.arm(now() + milliseconds(2));
  ASSERT_TRUE(run_until([&] { return fired == 1; }));
}

TEST_F(Timers, an_instant_that_has_passed_fires_at_once) {
  bool fired = false;
  LoopTimers::Entry entry(timers_, [&] { fired = true; });
  entry.arm(now() - seconds(5));
  const TimePoint armed = now();
  ASSERT_TRUE(run_until([&] { return fired; }));
  EXPECT_LT(now() - armed, seconds(5));
}

TEST_F(Timers, an_entry_beyond_the_horizon_is_moved_on_and_fires_on_time) {
  const auto horizon = LoopTimers::kTick * static_cast<int>(LoopTimers::kSlots);
  int fired = 0;
  TimePoint at;
  LoopTimers::Entry far(timers_, [&] {
    ++fired;
    at = now();
  });
  LoopTimers::Entry never(timers_, [&] { ADD_FAILURE() << "fired an hour early"; });
  const TimePoint due = now() + horizon + milliseconds(300);
  far.arm(due);
  never.arm(now() + std::chrono::hours(1));
  ASSERT_TRUE(run_until([&] { return fired == 1; }));
  EXPECT_GE(at, due);
  EXPECT_TRUE(never.armed());
}

TEST_F(Timers, the_greatest_instants_are_taken_and_do_not_fire) {
  bool fired = false;
  LoopTimers::Entry never(timers_, [&] { ADD_FAILURE(); });
  LoopTimers::Entry nearly(timers_, [&] { ADD_FAILURE(); });
  LoopTimers::Entry soon(timers_, [&] { fired = true; });
  never.arm(TimePoint::max());
  EXPECT_FALSE(never.armed());
  nearly.arm(TimePoint::max() - Duration(1));
  EXPECT_TRUE(nearly.armed());
  soon.arm(now() + milliseconds(5));
  ASSERT_TRUE(run_until([&] { return fired; }));
}

TEST_F(Timers, a_callback_may_arm_its_own_entry_again) {
  int fired = 0;
  std::unique_ptr<LoopTimers::Entry> entry;
  entry = std::make_unique<LoopTimers::Entry>(timers_, [&] {
    if (++fired < 5) entry->arm(now());
  });
  entry->arm(now());
  ASSERT_TRUE(run_until([&] { return fired == 5; }));
  EXPECT_FALSE(entry->armed());
}

TEST_F(Timers, a_callback_may_destroy_its_own_entry_and_others_of_the_same_slot) {
  const TimePoint due = now() + milliseconds(8);
  int fired = 0;
  std::vector<std::unique_ptr<LoopTimers::Entry>> entries(64);
  for (auto& entry : entries) {
    entry = std::make_unique<LoopTimers::Entry>(timers_, [&] {
      ++fired;
      for (auto& any : entries) any.reset();
    });
    entry->arm(due);
  }
  bool after = false;
  LoopTimers::Entry last(timers_, [&] { after = true; });
  last.arm(due + milliseconds(12));
  ASSERT_TRUE(run_until([&] { return after; }));
  EXPECT_EQ(fired, 1);
}

TEST_F(Timers, a_callback_may_arm_and_disarm_others_of_the_same_slot) {
  const TimePoint due = now() + milliseconds(8);
  int fired = 0;
  std::list<LoopTimers::Entry> entries;
  for (int i = 0; i < 16; ++i) {
    entries.emplace_back(timers_, [&] {
      if (++fired > 1) return;
      int turn = 0;
      for (auto& entry : entries) {
        if (++turn % 2 == 0) {
          entry.disarm();
        } else {
          entry.arm(now() + milliseconds(10));
        }
      }
    });
  }
  for (auto& entry : entries) entry.arm(due);
  ASSERT_TRUE(run_until([&] { return fired >= 9; }));
  const TimePoint later = now() + milliseconds(20);
  ASSERT_TRUE(run_until([&] { return now() > later; }));
  EXPECT_EQ(fired, 9);
}

TEST_F(Timers, entries_armed_for_the_past_fire_each_once) {
  int fired = 0;
  std::list<LoopTimers::Entry> entries;
  for (int i = 0; i < 2000; ++i) {
    auto& entry = entries.emplace_back(timers_, [&] { ++fired; });
    entry.arm(now() - LoopTimers::kTick * i);
  }
  ASSERT_TRUE(run_until([&] { return fired == 2000; }));
}

TEST(LoopTimersLifetime, entries_that_outlive_it_may_be_destroyed) {
  asio::io_context loop(1);
  auto timers = std::make_unique<LoopTimers>(loop);
  auto entry = std::make_unique<LoopTimers::Entry>(*timers, [] { ADD_FAILURE(); });
  auto other = std::make_unique<LoopTimers::Entry>(*timers, [] { ADD_FAILURE(); });
  entry->arm(now() + milliseconds(1));
  other->arm(now() + milliseconds(1));
  timers.reset();
  entry.reset();
  loop.run_for(milliseconds(10));
  other.reset();
}

TEST_F(Timers, nothing_is_waited_for_when_nothing_is_armed) {
  bool fired = false;
  {
    LoopTimers::Entry entry(timers_, [&] { fired = true; });
    entry.arm(now() + milliseconds(2));
    ASSERT_TRUE(run_until([&] { return fired; }));
  }
  loop_.restart();
  loop_.run();  // would not return if the wheel kept turning
}

}  // namespace
}  // namespace spillway
