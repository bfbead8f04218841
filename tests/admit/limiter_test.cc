#include "admit/limiter.h"

#include <gtest/gtest.h>

#include <queue>
#include <random>

#include "admit/rate_window.h"

namespace spillway::admit {
namespace {

const TimePoint kStart{seconds(1000)};

// A server that works on `slots` answers at once; more wait inside it, and their first token with them. 5 clients per
// slot ask without a pause. What the limiter settles on, and how much it still moves.
struct Settled {
  int least = 1 << 30;
  int most = 0;
  double served_per_s = 0;
};
Settled settle(Limiter& limiter, int slots, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::lognormal_distribution<> jitter(0, 0.2);
  struct Busy {
    double first_ms, end_ms, began_ms;
    bool operator>(const Busy& other) const { return end_ms > other.end_ms; }
  };
  std::priority_queue<Busy, std::vector<Busy>, std::greater<>> busy;
  std::vector<double> free_at(static_cast<std::size_t>(slots), 0.0);
  // Alone at first, so that it is known what a calm time is.
  const auto clients = [&](double at_ms) { return at_ms < 30'000 ? 1 : 5 * slots; };
  double now_ms = 0;
  Settled out;
  double served = 0;
  constexpr double kEnd = 300'000;
  while (now_ms < kEnd) {
    while (static_cast<int>(busy.size()) < std::min(limiter.limit(), clients(now_ms))) {
      const auto slot = std::min_element(free_at.begin(), free_at.end());
      const double begin = std::max(*slot, now_ms);
      const double first = 100 * jitter(engine);
      *slot = begin + first + 400 * jitter(engine);
      busy.push({begin + first, *slot, now_ms});
    }
    if (limiter.limit() < clients(now_ms)) limiter.waited();
    const Busy done = busy.top();
    busy.pop();
    now_ms = done.end_ms;
    limiter.answered(std::chrono::microseconds(static_cast<std::int64_t>(1e3 * (done.first_ms - done.began_ms))),
                     static_cast<int>(busy.size()) + 1, kStart + milliseconds(static_cast<std::int64_t>(now_ms)));
    if (now_ms < kEnd / 2) continue;
    out.least = std::min(out.least, limiter.limit());
    out.most = std::max(out.most, limiter.limit());
    ++served;
  }
  out.served_per_s = served / (kEnd / 2'000);
  return out;
}

TEST(Limiter, is_stable_where_limits_are_small) {
  for (int slots = 1; slots <= 10; ++slots) {
    Limiter limiter;
    limiter.set({0, 40, 16, true});
    const Settled settled = settle(limiter, slots, static_cast<std::uint64_t>(slots));
    // All slots are used, and the queue inside the server stays a fraction of an answer.
    EXPECT_GE(settled.least, slots) << slots;
    EXPECT_LE(settled.most, slots + 1 + (slots + 1) / 2) << slots;
    EXPECT_GE(settled.served_per_s, 0.9 * slots / 0.51) << slots;
  }
}

TEST(Limiter, what_is_fixed_stays) {
  Limiter limiter;
  limiter.set({3, 40, 16, true});
  settle(limiter, 1, 1);
  limiter.refused(3, kStart);
  EXPECT_EQ(limiter.limit(), 3);
}

TEST(Limiter, a_refusal_takes_one_step_a_second_and_only_waiting_brings_it_back) {
  Limiter limiter;
  limiter.set({});
  for (int i = 0; i < 50; ++i) limiter.refused(20, kStart);
  EXPECT_EQ(limiter.limit(), 18);
  for (int i = 1; i <= 100; ++i) limiter.answered(milliseconds(300), 18, kStart + seconds(i));
  EXPECT_EQ(limiter.limit(), 18);
  for (int i = 1; i <= 5; ++i) {
    limiter.waited();
    limiter.answered(milliseconds(300), 18, kStart + seconds(100 + i));
    limiter.answered(milliseconds(300), 18, kStart + seconds(100 + i));
  }
  EXPECT_EQ(limiter.limit(), 26);  // by one, or a tenth
  for (int i = 0; i < 200; ++i) limiter.refused(1, kStart + seconds(1000 + i));
  EXPECT_EQ(limiter.limit(), 1);
}

TEST(RateWindow, no_window_holds_more_and_nothing_is_held_back_for_nothing) {
  std::mt19937_64 engine(5);
  for (const std::uint32_t most : {1u, 2u, 7u, 60u}) {
    RateWindow rate;
    rate.set(most, seconds(60));
    std::vector<TimePoint> taken;
    TimePoint at = kStart;
    for (int i = 0; i < 3'000; ++i) {
      at += milliseconds(engine() % 2'000);
      std::size_t in_window = 0;
      for (const TimePoint one : taken) in_window += one > at - seconds(60) ? 1 : 0;
      const bool may = rate.when(at) <= at;
      EXPECT_EQ(may, in_window < most);
      if (!may) {
        EXPECT_LE(rate.when(at), at + seconds(60));
        EXPECT_GE(rate.when(at, most), rate.when(at));
        continue;
      }
      rate.take(at);
      taken.push_back(at);
    }
  }
}

TEST(RateWindow, those_before_it_count) {
  RateWindow rate;
  rate.set(2, seconds(60));
  EXPECT_EQ(rate.when(kStart), kStart);
  rate.take(kStart);
  rate.take(kStart + seconds(10));
  const TimePoint at = kStart + seconds(20);
  EXPECT_EQ(rate.when(at), kStart + seconds(60));
  EXPECT_EQ(rate.when(at, 1), kStart + seconds(70));
  EXPECT_EQ(rate.when(at, 2), kStart + seconds(120));
  EXPECT_EQ(rate.when(at, 3), kStart + seconds(130));
  rate.set(0, seconds(0));
  EXPECT_EQ(rate.when(at, 100), at);
}

}  // namespace
}  // namespace spillway::admit
