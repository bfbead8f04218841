#include "attempt/policy.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spillway::attempt {
namespace {

using Kind = Move::Kind;
const TimePoint kStart{seconds(1000)};
const Deadline kLater = Deadline::after(seconds(10), kStart);

std::pair<Kind, std::size_t> move(const std::vector<TargetState>& targets, TimePoint at = kStart) {
  const Move next = next_move(targets, kLater, at);
  return {next.kind, next.target};
}

constexpr TargetState kFresh{false, false};
constexpr TargetState kAsked{false, true};
constexpr TargetState kLoading{true, false};
constexpr TargetState kAskedLoading{true, true};

TEST(NextMove, targets_are_asked_in_their_order_and_each_once) {
  EXPECT_EQ(move({kFresh, kFresh}), std::pair(Kind::kAsk, std::size_t{0}));
  EXPECT_EQ(move({kAsked, kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({kAsked, kAsked}).first, Kind::kFail);
  EXPECT_EQ(move({}).first, Kind::kFail);
}

TEST(NextMove, one_that_loads_is_asked_after_those_that_can_answer) {
  EXPECT_EQ(move({kLoading, kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({kLoading, kAsked}), std::pair(Kind::kAsk, std::size_t{0}));
  EXPECT_EQ(move({kLoading, kAsked, kLoading}), std::pair(Kind::kAsk, std::size_t{0}));
  EXPECT_EQ(move({kAskedLoading, kAsked, kLoading}), std::pair(Kind::kAsk, std::size_t{2}));
}

TEST(NextMove, after_the_deadline_nobody_is_asked) {
  EXPECT_EQ(move({kFresh}, kStart + seconds(9)).first, Kind::kAsk);
  EXPECT_EQ(move({kFresh}, kStart + seconds(10)).first, Kind::kDeadline);
  EXPECT_EQ(move({kAsked}, kStart + seconds(10)).first, Kind::kFail);
}

TEST(NextMove, whatever_loads_meanwhile_every_target_is_asked_exactly_once) {
  std::mt19937 random(11);
  for (int round = 0; round < 1000; ++round) {
    std::vector<TargetState> targets(random() % 6);
    std::vector<int> times(targets.size());
    for (;;) {
      for (TargetState& target : targets) target.loading = random() % 2 == 0;
      const Move next = next_move(targets, kLater, kStart);
      if (next.kind == Kind::kFail) break;
      ASSERT_EQ(next.kind, Kind::kAsk);
      ++times[next.target];
      // No one that could answer now is passed over for one that loads.
      if (targets[next.target].loading) {
        for (const TargetState& target : targets) EXPECT_TRUE(target.asked || target.loading);
      }
      targets[next.target].asked = true;
    }
    for (const int count : times) EXPECT_EQ(count, 1);
  }
}

}  // namespace
}  // namespace spillway::attempt
