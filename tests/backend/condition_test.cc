#include "backend/condition.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>
#include <vector>

namespace spillway::backend {
namespace {

using Kind = Condition::Change::Kind;

TimePoint at(double seconds_from_start) {
  return TimePoint(seconds(1000)) +
         std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds_from_start));
}

TEST(Condition, several_failures_in_a_row_are_told_once_and_the_mending_too) {
  Condition condition;
  for (std::uint32_t i = 1; i < Condition::kInARow; ++i) EXPECT_EQ(condition.failed(false, at(i)).kind, Kind::kNone);
  const auto fails = condition.failed(false, at(5));
  EXPECT_EQ(fails.kind, Kind::kFails);
  EXPECT_EQ(fails.failures, 5u);
  EXPECT_EQ(fails.lasted, seconds(4));
  for (int i = 0; i < 100; ++i) EXPECT_EQ(condition.failed(false, at(6 + i)).kind, Kind::kNone);
  const auto mended = condition.answered(at(121));
  EXPECT_EQ(mended.kind, Kind::kAnswersAgain);
  EXPECT_EQ(mended.failures, 105u);
  EXPECT_EQ(mended.lasted, seconds(120));
  EXPECT_EQ(condition.answered(at(122)).kind, Kind::kNone);
}

TEST(Condition, what_never_heals_is_told_at_the_first) {
  Condition condition;
  EXPECT_EQ(condition.failed(true, at(0)).kind, Kind::kFails);
  EXPECT_EQ(condition.failed(true, at(1)).kind, Kind::kNone);
  EXPECT_EQ(condition.answered(at(2)).kind, Kind::kAnswersAgain);
}

TEST(Condition, two_failures_far_apart_are_enough_where_there_are_few_requests) {
  Condition condition;
  EXPECT_EQ(condition.failed(false, at(0)).kind, Kind::kNone);
  EXPECT_EQ(condition.failed(false, at(10)).kind, Kind::kFails);
}

TEST(Condition, failures_with_answers_between_them_are_not_told) {
  Condition condition;
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(condition.failed(false, at(20 * i)).kind, Kind::kNone);
    EXPECT_EQ(condition.answered(at(20 * i + 1)).kind, Kind::kNone);
  }
}

TEST(Condition, a_provider_that_fails_as_often_as_at_its_peak_is_seldom_told) {
  Condition condition;
  std::mt19937 random(7);
  std::bernoulli_distribution fails(0.187);
  int lines = 0;
  for (int i = 0; i < 100'000; ++i) {
    const auto change = fails(random) ? condition.failed(false, at(i * 0.01)) : condition.answered(at(i * 0.01));
    lines += change.kind == Kind::kNone ? 0 : 1;
  }
  EXPECT_LT(lines, 100);  // of 100,000 requests
}

TEST(Condition, over_threads_each_change_is_told_once) {
  for (int round = 0; round < 50; ++round) {
    Condition condition;
    std::atomic<int> told{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int n = 0; n < 10; ++n) told += condition.failed(false, at(n)).kind == Kind::kFails ? 1 : 0;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(told, 1);
  }
}

TEST(Conditions, are_one_for_each_name) {
  Conditions conditions;
  EXPECT_EQ(conditions.of("a"), conditions.of("a"));
  EXPECT_NE(conditions.of("a"), conditions.of("b"));
}

}  // namespace
}  // namespace spillway::backend
