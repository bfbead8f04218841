#include "route/policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

namespace spillway::route {
namespace {

using ::testing::ElementsAre;
using Order = std::vector<std::uint32_t>;

class Policies : public ::testing::Test {
 protected:
  std::mt19937_64 engine_{7};
  const Random random_ = [this] { return std::uniform_real_distribution<>(0, 1)(engine_); };
};

TEST_F(Policies, whatever_is_known_each_target_has_one_place) {
  for (int round = 0; round < 2'000; ++round) {
    std::vector<Candidate> candidates(static_cast<std::size_t>(random_() * 7));
    for (Candidate& candidate : candidates) {
      candidate.first_token_ms = random_() < 0.3 ? 0 : random_() * 3'000;
      candidate.in_flight = static_cast<int>(random_() * 50);
      candidate.cost = random_() < 0.3 ? 0 : random_();
      candidate.weight = random_() < 0.3 ? 0 : random_() * 10;
    }
    for (const char* name : {"ordered", "latency", "cost", "weighted"}) {
      Order order = find_policy(name)(candidates, random_);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(order, ordered(candidates, random_)) << name;
    }
  }
}

TEST_F(Policies, ordered_is_the_order_of_the_file) {
  EXPECT_THAT(ordered(std::vector<Candidate>(3), random_), ElementsAre(0, 1, 2));
}

TEST_F(Policies, cost_is_the_cheapest_first_and_equals_stay) {
  EXPECT_THAT(cost(std::vector<Candidate>{{0, 0, 3, 1}, {0, 0, 1, 1}, {0, 0, 0, 1}, {0, 0, 1, 1}}, random_),
              ElementsAre(2, 1, 3, 0));
}

TEST_F(Policies, latency_of_two_is_the_faster_by_time_and_load) {
  EXPECT_THAT(latency(std::vector<Candidate>{{900, 0, 0, 1}, {300, 0, 0, 1}}, random_), ElementsAre(1, 0));
  EXPECT_THAT(latency(std::vector<Candidate>{{900, 0, 0, 1}, {300, 500, 0, 1}}, random_), ElementsAre(0, 1));
  EXPECT_THAT(latency(std::vector<Candidate>{{100, 0, 0, 1, true}, {300, 0, 0, 1}, {400, 0, 0, 1}}, random_),
              ElementsAre(0, 1, 2));
  // What is not known is found out.
  EXPECT_THAT(latency(std::vector<Candidate>{{300, 0, 0, 1}, {0, 0, 0, 1}}, random_), ElementsAre(1, 0));
  EXPECT_THAT(latency(std::vector<Candidate>{{300, 0, 0, 1}, {0, 1, 0, 1}}, random_), ElementsAre(0, 1));
}

TEST_F(Policies, latency_never_asks_the_worst_first_and_the_best_mostly) {
  const std::vector<Candidate> candidates{{400, 0, 0, 1}, {100, 0, 0, 1}, {200, 0, 0, 1}, {300, 0, 0, 1}};
  std::map<std::uint32_t, int> first;
  for (int i = 0; i < 60'000; ++i) ++first[latency(candidates, random_).front()];
  // Of the pairs of four the best is in three of six, the second in two of those without it, the third in one.
  EXPECT_NEAR(first[1], 30'000, 600);
  EXPECT_NEAR(first[2], 20'000, 600);
  EXPECT_NEAR(first[3], 10'000, 600);
  EXPECT_EQ(first[0], 0);
}

TEST_F(Policies, weighted_draws_by_weight_and_keeps_zero_for_the_last) {
  const std::vector<Candidate> candidates{{0, 0, 0, 1}, {0, 0, 0, 3}, {0, 0, 0, 0}, {0, 0, 0, 6}};
  std::map<std::uint32_t, int> first;
  for (int i = 0; i < 100'000; ++i) {
    const Order order = weighted(candidates, random_);
    ++first[order.front()];
    EXPECT_EQ(order.back(), 2u);
  }
  EXPECT_NEAR(first[0], 10'000, 500);
  EXPECT_NEAR(first[1], 30'000, 700);
  EXPECT_NEAR(first[3], 60'000, 700);
}

}  // namespace
}  // namespace spillway::route
