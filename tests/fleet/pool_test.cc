#include "fleet/pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace spillway::fleet {
namespace {

using State = PoolMember::State;
using Action = PoolScheduler::Action;
using Actions = std::vector<Action>;

class PoolTest : public ::testing::Test {
 protected:
  PoolTest() { scheduler_.set({.room = 10}); }
  Actions decide(Duration later = milliseconds(50)) {
    now_ += later;
    return scheduler_.decide(members_, now_);
  }
  void make_ready(std::size_t member, Duration load = milliseconds(1000)) {
    members_[member].state = State::kLoading;
    decide();
    members_[member].state = State::kReady;
    decide(load);
  }

  PoolScheduler scheduler_;
  std::vector<PoolMember> members_{{State::kUnloaded, 6}, {State::kUnloaded, 5}, {State::kUnloaded, 4}};
  TimePoint now_{seconds(1000)};
};

TEST_F(PoolTest, nothing_is_loaded_that_nobody_wants) { EXPECT_EQ(decide(), Actions{}); }

TEST_F(PoolTest, what_is_waited_for_is_loaded_where_there_is_room) {
  members_[0].waiting = 1;
  members_[2].wanted = true;
  EXPECT_EQ(decide(), (Actions{{true, 0}, {true, 2}}));
}

TEST_F(PoolTest, the_least_recently_used_idle_one_makes_way) {
  make_ready(0);
  make_ready(2);
  members_[0].inside = 1;
  decide();
  members_[0].inside = 0;
  decide(seconds(20));
  members_[1].waiting = 3;  // needs 5 of 10, and 10 are taken: 0 (6) or 2 (4) and then 0
  EXPECT_EQ(decide(), (Actions{{false, 2}, {false, 0}}));
}

TEST_F(PoolTest, a_busy_one_is_left_alone_until_somebody_has_waited_for_a_turn) {
  make_ready(0);
  members_[0].inside = 2;
  members_[1].waiting = 1;
  TimePoint begin = now_;
  Actions done;
  while (done.empty()) {
    done = decide();
    ASSERT_LT(now_ - begin, seconds(30));
  }
  EXPECT_EQ(done, (Actions{{false, 0}}));
  EXPECT_GE(now_ - begin, PoolScheduler::kTurn);
}

TEST_F(PoolTest, what_leaves_keeps_its_memory_until_it_has_gone) {
  make_ready(0);
  decide(seconds(20));
  members_[1].waiting = 1;
  EXPECT_EQ(decide(), (Actions{{false, 0}}));
  members_[0].state = State::kLeaving;
  EXPECT_EQ(decide(), Actions{});
  members_[0].state = State::kUnloaded;
  EXPECT_EQ(decide(), (Actions{{true, 1}}));
}

TEST_F(PoolTest, who_comes_later_does_not_take_the_room_of_who_came_before) {
  make_ready(0);
  members_[0].inside = 1;
  members_[1].waiting = 1;
  decide();
  members_[2].waiting = 5;  // 4 of 10 would fit beside 6
  EXPECT_EQ(decide(), Actions{});
}

TEST_F(PoolTest, one_that_was_just_loaded_stays_though_it_is_idle) {
  make_ready(0, milliseconds(2000));
  members_[1].waiting = 1;
  EXPECT_EQ(decide(), Actions{});
  EXPECT_EQ(decide(milliseconds(3000)), Actions{});
  EXPECT_EQ(decide(milliseconds(1100)), (Actions{{false, 0}}));
}

TEST_F(PoolTest, room_is_not_made_in_vain) {
  scheduler_.set({.room = 4});
  make_ready(2);
  decide(seconds(60));
  members_[0].waiting = 1;  // 6 never fit
  EXPECT_EQ(decide(seconds(60)), Actions{});
}

TEST_F(PoolTest, an_idle_one_is_unloaded_after_a_while_where_that_is_asked_for) {
  scheduler_.set({.room = 10, .unload_after = seconds(60)});
  make_ready(0);
  EXPECT_EQ(decide(seconds(59)), Actions{});
  EXPECT_EQ(decide(seconds(2)), (Actions{{false, 0}}));
}

// A crowd that asks for all models at once, for two hours: memory is kept, none is ended while it is busy before its
// turn, everybody is served, and most of the time is not spent on loading.
TEST_F(PoolTest, under_a_crowd_nobody_starves_and_little_time_goes_into_loading) {
  constexpr milliseconds kTick{50};
  constexpr milliseconds kLoad{1500};
  constexpr milliseconds kAnswer{800};
  std::mt19937 random(19);
  struct Sim {
    TimePoint until{};  // of the load
    std::vector<TimePoint> answers;
    std::vector<TimePoint> queue;
  };
  std::vector<Sim> sims(members_.size());
  Duration longest{};
  Duration loading{};
  std::size_t served = 0;
  const TimePoint end = now_ + seconds(7200);
  while (now_ < end) {
    bool any_loading = false;
    for (std::size_t i = 0; i < sims.size(); ++i) {
      Sim& sim = sims[i];
      PoolMember& member = members_[i];
      if (random() % 20 == 0) sim.queue.push_back(now_);
      if (member.state == State::kLoading && now_ >= sim.until) member.state = State::kReady;
      any_loading = any_loading || member.state == State::kLoading;
      std::erase_if(sim.answers, [&](TimePoint at) { return at <= now_; });
      if (member.state == State::kLeaving && sim.answers.empty()) member.state = State::kUnloaded;
      while (member.state == State::kReady && !sim.queue.empty() && sim.answers.size() < 4) {
        longest = std::max(longest, now_ - sim.queue.front());
        sim.queue.erase(sim.queue.begin());
        sim.answers.push_back(now_ + kAnswer);
        ++served;
      }
      member.waiting = sim.queue.size();
      member.inside = static_cast<int>(sim.answers.size());
    }
    if (any_loading) loading += kTick;
    std::uint64_t used = 0;
    for (const PoolMember& member : members_) used += member.state == State::kUnloaded ? 0 : member.memory;
    ASSERT_LE(used, 10u);
    for (const Action& action : decide(kTick)) {
      PoolMember& member = members_[action.member];
      if (action.load) {
        ASSERT_EQ(member.state, State::kUnloaded);
        member.state = State::kLoading;
        sims[action.member].until = now_ + kLoad;
      } else {
        ASSERT_EQ(member.state, State::kReady);
        member.state = State::kLeaving;
      }
    }
  }
  EXPECT_GT(served, 15'000u);
  EXPECT_LT(longest, seconds(60));
  EXPECT_LT(loading, seconds(7200) / 3);
}

}  // namespace
}  // namespace spillway::fleet
