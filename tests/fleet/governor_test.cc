#include "fleet/governor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace spillway::fleet {
namespace {

using admit::Priority;

// An engine of `slots` that is `use_of(inside)` busy, and more requests of each priority than it can answer.
class Plant {
 public:
  Plant(int slots, double request_seconds, double (*use_of)(int))
      : slots_(slots), request_(request_seconds), use_of_(use_of) {
    governor.set(0.75, slots);
  }

  // The mean use over so many seconds; `waiting`: which priorities wait, the first is served first.
  double run(double seconds, const std::vector<Priority>& waiting) {
    double used = 0;
    for (double at = 0; at < seconds; at += kTick) {
      std::erase_if(left_, [](double left) { return left <= 0; });
      const Governor::Caps caps = governor.caps();
      for (const Priority priority : waiting) {
        while (inside() < std::min(slots_, caps[static_cast<std::size_t>(priority)])) {
          left_.push_back(request_);
          ++served[static_cast<std::size_t>(priority)];
        }
      }
      const double use = use_of_(inside());
      for (double& left : left_) left -= kTick;
      used += use * kTick;
      governor.note(use, std::chrono::duration_cast<Duration>(std::chrono::duration<double>(kTick)));
    }
    return used / seconds;
  }

  Governor governor;
  std::array<int, admit::kPriorities> served{};

 private:
  static constexpr double kTick = 0.1;
  [[nodiscard]] int inside() const { return static_cast<int>(left_.size()); }

  int slots_;
  double request_;
  double (*use_of_)(int);
  std::vector<double> left_;
};

double processor(int inside) { return inside > 0 ? 1.0 : 0.0; }  // one request keeps it busy
double gpu(int inside) { return 1 - std::pow(0.7, inside); }     // each further one adds less
double large_gpu(int inside) { return std::min(1.0, inside / 64.0); }

struct Case {
  int slots;
  double request;
  double (*use_of)(int);
};
class GovernorTest : public ::testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Plants, GovernorTest,
                         ::testing::Values(Case{1, 0.3, processor}, Case{2, 1, processor}, Case{4, 4, processor},
                                           Case{8, 0.2, gpu}, Case{8, 3, gpu}, Case{64, 2, large_gpu}));

TEST_P(GovernorTest, holds_the_set_point_under_overload) {
  Plant plant(GetParam().slots, GetParam().request, GetParam().use_of);
  plant.run(60, {Priority::kNormal});
  for (int minute = 0; minute < 5; ++minute) EXPECT_NEAR(plant.run(60, {Priority::kNormal}), 0.75, 0.03) << minute;
  EXPECT_NEAR(plant.governor.mean(), 0.75, 0.06);
}

TEST_P(GovernorTest, high_requests_alone_are_held_at_it_as_well) {
  Plant plant(GetParam().slots, GetParam().request, GetParam().use_of);
  plant.run(60, {Priority::kHigh});
  EXPECT_NEAR(plant.run(60, {Priority::kHigh}), 0.75, 0.03);
}

TEST_P(GovernorTest, batch_work_yields_first) {
  Plant plant(GetParam().slots, GetParam().request, GetParam().use_of);
  plant.run(120, {Priority::kNormal, Priority::kBatch});
  const auto before = plant.served;
  plant.run(60, {Priority::kNormal, Priority::kBatch});
  const int normal =
      plant.served[static_cast<std::size_t>(Priority::kNormal)] - before[static_cast<std::size_t>(Priority::kNormal)];
  const int batch =
      plant.served[static_cast<std::size_t>(Priority::kBatch)] - before[static_cast<std::size_t>(Priority::kBatch)];
  EXPECT_GT(normal, 0);
  EXPECT_EQ(batch, 0);
}

TEST_P(GovernorTest, batch_work_alone_gets_all_that_there_is) {
  Plant plant(GetParam().slots, GetParam().request, GetParam().use_of);
  plant.run(60, {Priority::kBatch});
  EXPECT_NEAR(plant.run(60, {Priority::kBatch}), 0.75, 0.03);
}

TEST(Governor, critical_ones_are_never_held_and_cost_the_others_no_more_than_the_debt) {
  Plant plant(2, 1, processor);
  EXPECT_NEAR(plant.run(600, {Priority::kCritical}), 1, 0.001);
  EXPECT_EQ(plant.governor.caps()[static_cast<std::size_t>(Priority::kNormal)], 0);
  EXPECT_DOUBLE_EQ(plant.governor.bank(), -Governor::kDebt);
  plant.run(7, {});
  EXPECT_GT(plant.governor.caps()[static_cast<std::size_t>(Priority::kNormal)], 0);
}

TEST(Governor, below_the_set_point_all_slots_are_open) {
  Governor governor;
  governor.set(0.75, 8);
  for (int i = 0; i < 100; ++i) governor.note(0.4, milliseconds(100));
  EXPECT_EQ(governor.caps()[static_cast<std::size_t>(Priority::kBatch)], 8);
  EXPECT_NEAR(governor.mean(), 0.4, 1e-9);
}

}  // namespace
}  // namespace spillway::fleet
