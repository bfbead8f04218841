#include "fleet/autoscaler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

using ::testing::HasSubstr;

// A Backend whose standbys are ready after `start_takes`, on a virtual clock.
class AutoscalerTest : public ::testing::Test {
 protected:
  AutoscalerTest() { signals_ = {.always = 1, .spare = 2, .slots = 2}; }

  // A second goes by; carries out what is decided.
  Autoscaler::Decision second() {
    now_ += seconds(1);
    if (now_ >= ready_at_) signals_.starting = 0;
    const Autoscaler::Decision decision = scaler_.decide(signals_, now_);
    signals_.started += decision.change;
    changes_ += decision.change != 0 ? 1 : 0;
    if (decision.change > 0) {
      signals_.starting = 1;
      ready_at_ = now_ + start_takes_;
    }
    return decision;
  }
  // The seconds until the next change; -1: none within `limit`.
  int until_change(int limit, std::string* reason = nullptr) {
    for (int i = 1; i <= limit; ++i) {
      const Autoscaler::Decision decision = second();
      if (decision.change == 0) continue;
      if (reason != nullptr) *reason = decision.reason;
      return i * decision.change;
    }
    return 0;
  }

  TimePoint now_ = TimePoint(std::chrono::hours(1));
  TimePoint ready_at_{};
  Duration start_takes_ = seconds(4);
  ScaleSignals signals_;
  Autoscaler scaler_;
  int changes_ = 0;
};

TEST_F(AutoscalerTest, a_processor_over_85_percent_for_5_minutes_starts_one) {
  signals_.cpu = 0.86;
  std::string reason;
  EXPECT_EQ(until_change(1'000, &reason), 301);
  EXPECT_THAT(reason, HasSubstr("CPU at 86 % for 5 min (limit 85 %)"));
}

TEST_F(AutoscalerTest, four_minutes_are_not_enough_and_a_rest_begins_them_anew) {
  for (int round = 0; round < 20; ++round) {
    signals_.cpu = 0.95;
    ASSERT_EQ(until_change(240), 0);
    signals_.cpu = 0.3;
    ASSERT_EQ(until_change(20), 0);
  }
}

TEST_F(AutoscalerTest, a_moment_below_it_does_not) {
  signals_.cpu = 0.95;
  int at = 0;
  for (int i = 1; i <= 400 && at == 0; ++i) {
    signals_.cpu = i % 60 == 0 ? 0.7 : 0.95;
    if (second().change > 0) at = i;
  }
  EXPECT_EQ(at, 301);
}

TEST_F(AutoscalerTest, a_queue_starts_one_within_seconds_and_another_only_when_the_first_did_not_help) {
  start_takes_ = seconds(8);
  signals_.waiting = 3;
  signals_.wait = seconds(4);
  EXPECT_EQ(until_change(100), 6);
  EXPECT_EQ(until_change(6), 0);
  EXPECT_EQ(second().held, "one is being started");
  signals_.wait = milliseconds(100);
  EXPECT_EQ(until_change(100), 0);
  signals_.wait = seconds(4);
  EXPECT_EQ(until_change(100), 6);
  EXPECT_EQ(until_change(100), 0);
  EXPECT_THAT(second().held, HasSubstr("all standby Replicas run"));
}

TEST_F(AutoscalerTest, a_provider_that_fails_warms_one) {
  signals_.troubled = "deepseek";
  std::string reason;
  EXPECT_EQ(until_change(100, &reason), 2);
  EXPECT_THAT(reason, HasSubstr("deepseek"));
}

TEST_F(AutoscalerTest, slow_first_tokens_and_busy_gpus_count) {
  config::Autoscale settings;
  settings.first_token = seconds(2);
  scaler_.set(settings);
  signals_.first_token = seconds(3);
  EXPECT_EQ(until_change(100), 0) << "nobody asks: it is an old number";
  signals_.inside = 1;
  EXPECT_EQ(until_change(100), 6);
  signals_.first_token = seconds(1);
  signals_.gpu = 0.97;
  std::string reason;
  EXPECT_EQ(until_change(400, &reason), 301);
  EXPECT_THAT(reason, HasSubstr("GPU at 97 %"));
}

TEST_F(AutoscalerTest, without_memory_it_is_not_started_and_why_is_told) {
  signals_.room = false;
  signals_.troubled = "deepseek";
  EXPECT_EQ(until_change(10), 0);
  EXPECT_THAT(second().held, HasSubstr("no memory"));
  signals_.room = true;
  EXPECT_EQ(until_change(10), 1);
}

TEST_F(AutoscalerTest, it_ends_one_after_another_once_it_has_been_calm_for_long) {
  signals_.started = 2;
  std::string reason;
  EXPECT_EQ(until_change(1'000, &reason), -301);
  EXPECT_THAT(reason, HasSubstr("calm for 5 min"));
  EXPECT_EQ(until_change(1'000), -301);
  EXPECT_EQ(until_change(1'000), 0);
}

TEST_F(AutoscalerTest, it_does_not_end_one_that_the_rest_could_not_spare) {
  signals_.started = 1;
  signals_.cpu = 0.4;  // 80 % of one
  EXPECT_EQ(until_change(1'000), 0);
  signals_.cpu = 0.1;
  signals_.inside = 2;  // both slots of one
  EXPECT_EQ(until_change(1'000), 0);
  signals_.inside = 1;
  EXPECT_EQ(until_change(1'000), -310) << "9 s until the mean has fallen";
}

// Load around the threshold: what one Replica has at 80 to 90 %, two share.
TEST_F(AutoscalerTest, load_at_the_threshold_does_not_make_it_flap) {
  std::uint64_t dice = 7;
  for (int i = 0; i < 24 * 3'600; ++i) {
    dice = dice * 6'364'136'223'846'793'005u + 1'442'695'040'888'963'407u;
    const double load = 0.80 + 0.10 * static_cast<double>(dice >> 40) / static_cast<double>(1u << 24);
    signals_.cpu = load / (1 + signals_.started - (signals_.starting > 0 ? 1 : 0));
    second();
  }
  EXPECT_LE(changes_, 1);
}

}  // namespace
}  // namespace spillway::fleet
