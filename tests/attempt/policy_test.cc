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
  const Move next = next_move(targets, milliseconds(500), kLater, at);
  return {next.kind, next.target};
}

constexpr TargetState kFresh{false, false, {}, {}};
constexpr TargetState kAsked{false, true, {}, {}};
constexpr TargetState kLoading{true, false, {}, {}};
constexpr TargetState kAskedLoading{true, true, {}, {}};

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

TEST(NextMove, one_that_is_full_is_asked_after_those_with_room_and_before_those_that_load_or_are_spared) {
  constexpr TargetState kFull{false, false, {}, false, true};
  constexpr TargetState kSpared{false, false, {}, true};
  EXPECT_EQ(move({kFull, kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({kLoading, kFull}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({kSpared, kFull}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({kFull, kAsked}), std::pair(Kind::kAsk, std::size_t{0}));
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
      const Move next = next_move(targets, milliseconds(0), kLater, kStart);
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

TargetState resting(milliseconds time, bool asked = false) { return {false, asked, {}, false, false, kStart + time}; }

TEST(NextMove, a_backend_that_asked_for_a_rest_is_waited_for_if_it_is_short_and_else_asked_last) {
  EXPECT_EQ(move({resting(seconds(5)), kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({resting(seconds(5)), kLoading}), std::pair(Kind::kAsk, std::size_t{1}));
  EXPECT_EQ(move({resting(seconds(5))}), std::pair(Kind::kAsk, std::size_t{0}));
  const std::vector<TargetState> brief{resting(milliseconds(300)), kFresh};
  const Move waits = next_move(brief, milliseconds(500), kLater, kStart);
  EXPECT_EQ(waits.target, 0u);
  EXPECT_EQ(waits.at, kStart + milliseconds(300));
  // Not when the Deadline passes first.
  const Deadline soon = Deadline::after(milliseconds(200), kStart);
  EXPECT_EQ(next_move(brief, milliseconds(500), soon, kStart).target, 1u);
}

TEST(NextMove, one_that_is_asked_again_goes_before_the_next) {
  const TargetState again{false, true, kStart + milliseconds(50), {}};
  EXPECT_EQ(move({kAsked, again, kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
  const TargetState too_late{false, true, kStart + seconds(11), {}};
  EXPECT_EQ(move({too_late, kFresh}), std::pair(Kind::kAsk, std::size_t{1}));
}

Outcome failed(OutcomeClass cls, std::optional<milliseconds> retry_after = {}) {
  Outcome outcome{cls, 503, {}};
  outcome.refusal.retry_after = retry_after;
  return outcome;
}

TEST(PauseBeforeRetry, only_what_may_pass_is_asked_again_and_as_often_as_the_route_says) {
  using C = OutcomeClass;
  for (const C cls : {C::kOverload, C::kServer, C::kCut, C::kEmpty}) {
    EXPECT_TRUE(pause_before_retry(failed(cls), 1, {1, {}}, 0.5));
    EXPECT_FALSE(pause_before_retry(failed(cls), 2, {1, {}}, 0.5));
    EXPECT_FALSE(pause_before_retry(failed(cls), 1, {0, {}}, 0.5));
  }
  for (const C cls : {C::kResolve, C::kConnect, C::kTls, C::kTimeout, C::kFirstToken, C::kGarbage, C::kRateLimited,
                      C::kConfig, C::kNoModel, C::kClient, C::kAbandoned}) {
    EXPECT_FALSE(pause_before_retry(failed(cls), 1, {9, {}}, 0.5));
  }
}

TEST(PauseBeforeRetry, the_pause_has_full_jitter_and_doubles_up_to_its_limit) {
  for (int tries = 1; tries < 30; ++tries) {
    const milliseconds most = *pause_before_retry(failed(OutcomeClass::kOverload), tries, {100, {}}, 1.0);
    EXPECT_EQ(most, std::min(kLongestBackoff, kBackoff * (1 << std::min(tries - 1, 10))));
    EXPECT_EQ(pause_before_retry(failed(OutcomeClass::kOverload), tries, {100, {}}, 0.0), milliseconds(0));
  }
}

TEST(PauseBeforeRetry, a_retry_after_is_waited_for_where_the_route_allows_and_else_left) {
  const Outcome limited = failed(OutcomeClass::kRateLimited, milliseconds(700));
  EXPECT_EQ(pause_before_retry(limited, 1, {0, seconds(1)}, 0.5), milliseconds(700));
  EXPECT_FALSE(pause_before_retry(limited, 1, {5, milliseconds(600)}, 0.5));
  EXPECT_FALSE(pause_before_retry(limited, 1, {5, milliseconds(0)}, 0.5));
  EXPECT_FALSE(pause_before_retry(limited, kMostWaits + 1, {5, seconds(1)}, 0.5));
  EXPECT_FALSE(pause_before_retry(failed(OutcomeClass::kOverload, seconds(9)), 1, {5, seconds(1)}, 0.5));
}

}  // namespace
}  // namespace spillway::attempt
