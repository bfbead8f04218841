#include "base/time.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

const TimePoint kStart{seconds(1000)};

TEST(Deadline, passes_at_its_instant) {
  const Deadline deadline = Deadline::after(seconds(5), kStart);
  EXPECT_EQ(deadline.at(), kStart + seconds(5));
  EXPECT_FALSE(deadline.passed(kStart + seconds(5) - Duration(1)));
  EXPECT_TRUE(deadline.passed(kStart + seconds(5)));
  EXPECT_TRUE(deadline.passed(kStart + seconds(6)));
}

TEST(Deadline, caps_a_step_to_what_is_left) {
  const Deadline deadline = Deadline::after(seconds(5), kStart);
  EXPECT_EQ(deadline.capped(seconds(1), kStart), kStart + seconds(1));
  EXPECT_EQ(deadline.capped(seconds(5), kStart), deadline.at());
  EXPECT_EQ(deadline.capped(seconds(9), kStart), deadline.at());
  EXPECT_EQ(deadline.capped(seconds(1), kStart + seconds(7)), deadline.at());
  EXPECT_EQ(deadline.capped(Duration::max(), kStart), deadline.at());
}

TEST(Deadline, one_that_is_never_caps_nothing_and_does_not_overflow) {
  const Deadline never = Deadline::never();
  EXPECT_FALSE(never.passed(kStart + std::chrono::hours(24 * 365 * 100)));
  EXPECT_EQ(never.capped(seconds(3), kStart), kStart + seconds(3));
  EXPECT_EQ(never.capped(Duration::max(), kStart), TimePoint::max());
}

TEST(Time, milliseconds_keep_their_fraction) { EXPECT_DOUBLE_EQ(to_ms(microseconds(1500)), 1.5); }

}  // namespace
}  // namespace spillway
