#include "bench/figures.h"

#include <gtest/gtest.h>

namespace spillway::bench {
namespace {

TEST(Percentile, is_a_value_that_was_measured) {
  std::vector<double> values{5, 1, 4, 2, 3};
  EXPECT_EQ(percentile(values, 0.5), 3);
  EXPECT_EQ(percentile(values, 0.95), 5);
  EXPECT_EQ(percentile(values, 0), 1);
  EXPECT_EQ(percentile(values, 1), 5);
  std::vector<double> none;
  EXPECT_EQ(percentile(none, 0.5), 0);
}

// Against tables of the exact interval.
TEST(Confidence, is_that_of_clopper_and_pearson) {
  EXPECT_NEAR(confidence95(1'000, 1'000).low, 0.9970, 0.00005);
  EXPECT_NEAR(confidence95(9'985, 9'985).low, 0.9997, 0.000005);
  EXPECT_EQ(confidence95(9'985, 9'985).high, 1);
  const Interval eight = confidence95(8, 10);
  EXPECT_NEAR(eight.low, 0.4439, 0.0001);
  EXPECT_NEAR(eight.high, 0.9748, 0.0001);
  const Interval outage = confidence95(813, 1'000);
  EXPECT_NEAR(outage.low, 0.7874, 0.0005);
  EXPECT_NEAR(outage.high, 0.8367, 0.0005);
  EXPECT_NEAR(confidence95(0, 10).high, 0.2589, 0.0001);
  EXPECT_EQ(confidence95(0, 0).low, 0);
  EXPECT_EQ(confidence95(0, 0).high, 1);
}

}  // namespace
}  // namespace spillway::bench
