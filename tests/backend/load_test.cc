#include "backend/load.h"

#include <gtest/gtest.h>

#include <random>

namespace spillway::backend {
namespace {

const TimePoint kStart{seconds(1000)};

TEST(Load, the_mean_follows_and_is_forgotten_in_silence) {
  Load load;
  EXPECT_EQ(load.expected_ms(kStart), 0);
  for (int i = 0; i < 100; ++i) load.note(milliseconds(400), false, kStart);
  EXPECT_NEAR(load.expected_ms(kStart), 400, 0.1);
  for (int i = 0; i < 30; ++i) load.note(milliseconds(100), false, kStart);
  EXPECT_NEAR(load.expected_ms(kStart), 164, 1);
  EXPECT_NEAR(load.expected_ms(kStart + Load::kHalfLife), 82, 1);
  EXPECT_LT(load.expected_ms(kStart + 10 * Load::kHalfLife), 1);
}

TEST(Load, while_one_is_on_its_way_to_find_out_nothing_is_forgotten) {
  Load load;
  load.note(milliseconds(400), false, kStart);
  load.begin(kStart);
  EXPECT_NEAR(load.expected_ms(kStart + seconds(60)), 400, 0.1);
  load.end(true);
  EXPECT_NEAR(load.expected_ms(kStart + seconds(60)), 25, 0.1);
}

// 100 a second of 200 ms each, then none is answered any more.
TEST(Load, many_that_wait_tell_before_the_first_late_answer_does) {
  Load load;
  TimePoint at = kStart;
  const auto come = [&](int from, int to, bool answered) {
    for (int i = from; i < to; ++i) {
      at = kStart + milliseconds(10 * i);
      load.begin(at);
      if (answered && i >= 20) {
        load.first_token_came();
        load.note(milliseconds(200), false, at);
        load.end(false);
      }
    }
  };
  come(0, 200, true);
  EXPECT_NEAR(load.expected_ms(at), 200, 1);
  come(200, 209, false);
  EXPECT_NEAR(load.expected_ms(at), 200, 1);  // chance
  come(209, 240, false);
  EXPECT_NEAR(load.expected_ms(at), 600, 30);  // 60 wait, one comes each 10 ms
}

TEST(Load, quantiles_are_within_a_tenth_and_of_their_own_kind) {
  Load load;
  std::mt19937_64 engine(3);
  std::lognormal_distribution<> times(5.6, 0.5);
  std::vector<double> all;
  for (int i = 0; i < 900; ++i) {
    all.push_back(times(engine));
    load.note(std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(all.back())), false,
              kStart);
  }
  std::sort(all.begin(), all.end());
  for (const double q : {0.5, 0.9, 0.95, 0.99}) {
    const double exact = all[static_cast<std::size_t>(std::ceil(q * 900)) - 1];
    const auto found = load.quantile(q, false);
    ASSERT_TRUE(found);
    EXPECT_GE(static_cast<double>(found->count()), exact) << q;
    EXPECT_LE(static_cast<double>(found->count()), exact * 1.1 + 1) << q;
  }
  EXPECT_FALSE(load.quantile(0.95, true));
}

TEST(Load, a_quantile_needs_twenty_answers_and_forgets_what_is_two_thousand_back) {
  Load load;
  for (int i = 0; i < 19; ++i) load.note(milliseconds(5'000), false, kStart);
  EXPECT_FALSE(load.quantile(0.95, false));
  load.note(milliseconds(5'000), false, kStart);
  EXPECT_GE(load.quantile(0.95, false)->count(), 5'000);
  for (int i = 0; i < 2'000; ++i) load.note(milliseconds(50), false, kStart);
  EXPECT_LE(load.quantile(1, false)->count(), 56);
  load.note(std::chrono::hours(1), false, kStart);
  EXPECT_GT(load.quantile(1, false)->count(), 100'000);
}

}  // namespace
}  // namespace spillway::backend
