#include "fleet/hang_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

using Step = HangWatch::Step;
using ::testing::HasSubstr;

class HangWatchTest : public ::testing::Test {
 protected:
  HangWatchTest() { watch_.begin(now_, {}); }

  // A second goes by, of which it works so much.
  Step second(double share, bool asked) {
    now_ += seconds(1);
    used_ += microseconds(static_cast<std::int64_t>(share * 1e6));
    return watch_.look({used_, asked}, now_);
  }

  TimePoint now_ = TimePoint(std::chrono::hours(1));
  Duration used_{};
  HangWatch watch_{seconds(5)};
};

TEST_F(HangWatchTest, one_that_works_or_is_not_asked_never_hangs) {
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(second(0.9, true), Step::kNone);
  for (int i = 0; i < 1'000; ++i) ASSERT_EQ(second(0.002, false), Step::kNone);
}

TEST_F(HangWatchTest, one_that_was_asked_and_does_nothing_is_asked_for_a_completion_and_hangs_without_one) {
  int looks = 0;
  while (second(0.001, looks == 0) == Step::kNone) ASSERT_LT(++looks, 10);  // the request has long gone elsewhere
  EXPECT_EQ(looks, 5);
  EXPECT_EQ(second(0, true), Step::kNone);  // the completion is under way
  EXPECT_EQ(watch_.completion(false, now_), Step::kHung);
  EXPECT_THAT(watch_.why(), HasSubstr("done nothing for 6.0 s"));
}

TEST_F(HangWatchTest, a_completion_clears_it) {
  while (second(0, true) == Step::kNone) {
  }
  EXPECT_EQ(watch_.completion(true, now_), Step::kNone);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(second(0, true), Step::kNone);
  EXPECT_EQ(second(0, true), Step::kAskCompletion);  // a slow reader still: asked again, one timeout later
}

TEST_F(HangWatchTest, a_silent_one_hangs_after_the_timeout_and_several_questions) {
  now_ += seconds(9);
  EXPECT_EQ(watch_.health(false, now_), Step::kNone);  // long ago, but asked once only
  EXPECT_EQ(watch_.health(false, now_), Step::kNone);
  EXPECT_EQ(watch_.health(true, now_), Step::kNone);
  for (int i = 0; i < 4; ++i) {
    now_ += seconds(1);
    EXPECT_EQ(watch_.health(false, now_), Step::kNone) << i;
  }
  now_ += seconds(1);
  EXPECT_EQ(watch_.health(false, now_), Step::kHung);
  EXPECT_THAT(watch_.why(), HasSubstr("health for 5.0 s"));
}

TEST_F(HangWatchTest, what_was_before_it_was_ready_again_counts_no_more) {
  for (int i = 0; i < 4; ++i) second(0, true);
  for (int i = 0; i < 2; ++i) watch_.health(false, now_);
  watch_.begin(now_, used_);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(second(0, true), Step::kNone);
  EXPECT_EQ(watch_.health(false, now_), Step::kNone);
}

TEST(HangWatch, without_a_timeout_nothing_hangs) {
  HangWatch watch{Duration::zero()};
  TimePoint now(std::chrono::hours(1));
  watch.begin(now, {});
  for (int i = 0; i < 100; ++i) {
    now += seconds(10);
    EXPECT_EQ(watch.look({{}, true}, now), Step::kNone);
    EXPECT_EQ(watch.health(false, now), Step::kNone);
  }
}

}  // namespace
}  // namespace spillway::fleet
