#include "simulate/choice.h"

#include <gtest/gtest.h>

#include <map>

namespace spillway::simulate {
namespace {

Profile failing(double probability, bool bursty = false) {
  Profile profile;
  FaultRule rule;
  rule.kind = "503";
  rule.probability = probability;
  rule.bursty = bursty;
  profile.faults.push_back(rule);
  return profile;
}

double share_struck(const Profile& profile, std::uint64_t count, Duration at = {}) {
  const Chooser chooser(profile);
  double struck = 0;
  for (std::uint64_t i = 0; i < count; ++i) struck += chooser.choose(i, at).strike.fault != nullptr ? 1 : 0;
  return struck / static_cast<double>(count);
}

TEST(Chooser, a_fault_strikes_as_often_as_it_should_evenly_or_in_bursts) {
  for (const double probability : {0.0, 0.05, 0.187, 1.0}) {
    EXPECT_NEAR(share_struck(failing(probability), 40'000), probability, 0.01);
  }
  EXPECT_NEAR(share_struck(failing(0.187, true), 200'000), 0.187, 0.01);
}

TEST(Chooser, bursts_are_bursts) {
  const Profile profile = failing(0.187, true);
  const Chooser chooser(profile);
  int many = 0;
  constexpr std::uint64_t kBursts = 2'000;
  for (std::uint64_t burst = 0; burst < kBursts; ++burst) {
    int struck = 0;
    for (std::uint64_t i = 0; i < Chooser::kBurst; ++i)
      struck += chooser.choose(burst * Chooser::kBurst + i, {}).strike.fault != nullptr ? 1 : 0;
    many += struck >= 7 ? 1 : 0;  // of 20: in a burst 12 are expected, outside it one
  }
  EXPECT_NEAR(static_cast<double>(many) / kBursts, Chooser::kShareOfBursts, 0.03);
}

TEST(Chooser, the_same_seed_chooses_alike_and_another_does_not) {
  Profile one = failing(0.5);
  Profile other = failing(0.5);
  other.seed = 2;
  int alike = 0;
  for (std::uint64_t i = 0; i < 1'000; ++i) {
    const auto a = Chooser(one).choose(i, {});
    const auto b = Chooser(one).choose(i, seconds(5));
    EXPECT_EQ(a.strike.fault, b.strike.fault);
    EXPECT_EQ(a.strike.at, b.strike.at);
    alike += a.strike.fault == Chooser(other).choose(i, {}).strike.fault ? 1 : 0;
  }
  EXPECT_LT(alike, 600);
}

TEST(Chooser, a_script_is_followed_and_its_last_word_repeats) {
  Profile profile = failing(1);
  profile.faults[0].name = "busy";
  profile.faults[0].retry_after = seconds(3);
  profile.script = {"ok", "busy", "stall"};
  const Chooser chooser(profile);
  EXPECT_EQ(chooser.choose(0, {}).strike.fault, nullptr);
  EXPECT_EQ(chooser.choose(1, {}).strike.retry_after, milliseconds(3'000));
  EXPECT_EQ(chooser.choose(2, {}).strike.kind, "stall");
  EXPECT_EQ(chooser.choose(99, {}).strike.kind, "stall");
}

TEST(Chooser, a_day_has_its_peak) {
  Profile profile;
  profile.day.length = std::chrono::minutes(24);  // a minute is an hour
  const Chooser chooser(profile);
  EXPECT_DOUBLE_EQ(chooser.time_of_day(Duration(0)), 9 * 60);
  EXPECT_EQ(chooser.choose(0, {}).timing.first_token, milliseconds(200));
  EXPECT_EQ(chooser.choose(0, std::chrono::seconds(90)).timing.first_token, milliseconds(840));
  EXPECT_EQ(share_struck(profile, 1'000), 0);
  EXPECT_NEAR(share_struck(profile, 40'000, std::chrono::seconds(90)), 0.187, 0.01);
  EXPECT_EQ(share_struck(profile, 1'000, std::chrono::seconds(181)), 0);
  EXPECT_NEAR(chooser.time_of_day(std::chrono::minutes(20)), 5 * 60, 1e-6);  // the next morning
}

TEST(Chooser, latency_is_spread_around_its_median) {
  Profile profile;
  profile.latency_spread = 0.5;
  const Chooser chooser(profile);
  int faster = 0;
  milliseconds longest{0};
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    const milliseconds time = chooser.choose(i, {}).timing.first_token;
    faster += time < profile.first_token ? 1 : 0;
    longest = std::max(longest, time);
  }
  EXPECT_NEAR(faster, 5'000, 300);
  EXPECT_GT(longest, milliseconds(600));
}

}  // namespace
}  // namespace spillway::simulate
