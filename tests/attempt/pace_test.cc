#include "attempt/pace.h"

#include <gtest/gtest.h>

#include <optional>

namespace spillway::attempt {
namespace {

const TimePoint kBegin{seconds(1'000)};

TEST(Pace, without_a_floor_nothing_is_too_slow) {
  const Pace pace(0);
  EXPECT_FALSE(pace.watched());
  EXPECT_EQ(pace.too_slow_at(), TimePoint::max());
}

// Tokens come every `gap` from kBegin on: when is it seen to be too slow? Nothing: not within a minute.
std::optional<Duration> seen_after(double floor, milliseconds gap) {
  Pace pace(floor);
  pace.begin(kBegin);
  for (TimePoint at = kBegin + gap; at < kBegin + seconds(60); at += gap) {
    if (pace.too_slow_at() < at) return pace.too_slow_at() - kBegin;
    pace.token(at);
  }
  return std::nullopt;
}

TEST(Pace, a_trickle_is_seen_within_the_window_and_no_steady_pace_above_the_floor_is) {
  for (const double floor : {0.1, 0.5, 1.0, 2.0, 5.0, 50.0}) {
    const milliseconds at_floor(static_cast<std::int64_t>(1'000 / floor));
    EXPECT_FALSE(seen_after(floor, at_floor)) << floor;
    EXPECT_FALSE(seen_after(floor, at_floor / 2)) << floor;
    const auto seen = seen_after(floor, 2 * at_floor + seconds(5));
    ASSERT_TRUE(seen) << floor;
    EXPECT_EQ(*seen, std::max<Duration>(seconds(5), at_floor)) << floor;
  }
  EXPECT_EQ(seen_after(2, milliseconds(1'000)), seconds(5));
}

TEST(Pace, a_fast_beginning_buys_no_later_silence) {
  Pace pace(2);
  pace.begin(kBegin);
  for (int i = 1; i <= 1'000; ++i) pace.token(kBegin + milliseconds(i));
  EXPECT_GE(pace.too_slow_at(), kBegin + seconds(5));
  EXPECT_LE(pace.too_slow_at(), kBegin + seconds(6));
}

TEST(Pace, a_floor_that_no_stream_reaches_takes_no_more_memory_than_the_greatest) {
  Pace pace(1e6);
  pace.begin(kBegin);
  for (int i = 0; i < 5'000; ++i) pace.token(kBegin + seconds(1));
  EXPECT_EQ(pace.too_slow_at(), kBegin + seconds(6));
}

TEST(Pace, time_in_which_nobody_waits_does_not_count) {
  Pace pace(1);
  pace.begin(kBegin);
  pace.pause(seconds(30));
  EXPECT_EQ(pace.too_slow_at(), kBegin + seconds(35));
}

}  // namespace
}  // namespace spillway::attempt
