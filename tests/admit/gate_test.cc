#include "admit/gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <random>
#include <thread>

namespace spillway::admit {
namespace {

using State = Ticket::State;
const TimePoint kStart{seconds(1000)};
const TimePoint kNever = kStart + std::chrono::hours(1);
constexpr auto kNobody = [] {};

Gate::Settings limited(int limit) {
  Gate::Settings settings;
  settings.limiter.fixed = limit;
  settings.hard = true;
  return settings;
}

TEST(Gate, lets_in_as_many_as_the_limit_and_the_next_when_one_leaves) {
  Gate gate;
  gate.set(limited(2), TimePoint{});
  Ticket one, two, three, four;
  EXPECT_TRUE(gate.try_enter(one, Priority::kNormal, kStart));
  EXPECT_TRUE(gate.try_enter(two, Priority::kNormal, kStart));
  EXPECT_FALSE(gate.try_enter(three, Priority::kNormal, kStart));
  EXPECT_TRUE(gate.would_wait(Priority::kNormal, kStart));
  int woken = 0;
  EXPECT_EQ(gate.enter(three, Priority::kNormal, kNever, [&] { ++woken; }, kStart), State::kWaiting);
  EXPECT_EQ(gate.enter(four, Priority::kNormal, kNever, [&] { woken += 10; }, kStart), State::kWaiting);
  gate.leave(four, kStart);  // the client left
  gate.leave(one, kStart + milliseconds(100));
  EXPECT_EQ(gate.state_of(three), State::kInside);
  EXPECT_EQ(woken, 1);
  gate.leave(two, kStart);
  gate.leave(three, kStart);
  gate.leave(three, kStart);  // once is enough
  EXPECT_EQ(gate.numbers(kStart).inside, 0);
}

TEST(Gate, where_the_limit_is_soft_a_critical_one_may_exceed_it) {
  Gate gate;
  Gate::Settings settings = limited(2);
  settings.hard = false;
  gate.set(settings, TimePoint{});
  Ticket one, two, critical, another;
  gate.try_enter(one, Priority::kBatch, kStart);
  gate.try_enter(two, Priority::kHigh, kStart);
  EXPECT_TRUE(gate.try_enter(critical, Priority::kCritical, kStart));
  EXPECT_FALSE(gate.try_enter(another, Priority::kCritical, kStart));
  EXPECT_EQ(gate.enter(another, Priority::kCritical, kNever, kNobody, kStart), State::kWaiting);
  gate.leave(critical, kStart);
  EXPECT_EQ(gate.state_of(another), State::kInside);
  for (Ticket* ticket : {&one, &two, &another}) gate.leave(*ticket, kStart);
}

TEST(Gate, where_it_is_hard_a_place_is_kept_for_critical_ones_while_there_are_any) {
  Gate gate;
  gate.set(limited(3), TimePoint{});
  std::array<Ticket, 3> tickets;
  Ticket waits;
  const auto fill = [&](TimePoint at) {
    int inside = 0;
    for (Ticket& ticket : tickets) inside += gate.try_enter(ticket, Priority::kNormal, at) ? 1 : 0;
    return inside;
  };
  const auto empty = [&](TimePoint at) {
    for (Ticket& ticket : tickets) gate.leave(ticket, at);
  };
  EXPECT_EQ(fill(kStart), 3);  // nobody is critical
  EXPECT_FALSE(gate.try_enter(waits, Priority::kCritical, kStart));
  EXPECT_EQ(gate.enter(waits, Priority::kCritical, kNever, kNobody, kStart), State::kWaiting);
  empty(kStart);
  EXPECT_EQ(gate.state_of(waits), State::kInside);
  gate.leave(waits, kStart);
  EXPECT_EQ(fill(kStart), 2);
  EXPECT_TRUE(gate.try_enter(waits, Priority::kCritical, kStart));
  gate.leave(waits, kStart);
  empty(kStart);
  EXPECT_EQ(fill(kStart + Gate::kCriticalFor), 3);
  empty(kStart);
}

TEST(Gate, places_of_their_own_are_on_top_of_the_limit) {
  Gate gate;
  Gate::Settings settings = limited(2);
  settings.extra = 1;
  gate.set(settings, TimePoint{});
  Ticket one, two, three, critical, another;
  EXPECT_TRUE(gate.try_enter(critical, Priority::kCritical, kStart));
  EXPECT_TRUE(gate.try_enter(one, Priority::kNormal, kStart));
  EXPECT_FALSE(gate.try_enter(two, Priority::kNormal, kStart));
  EXPECT_TRUE(gate.try_enter(another, Priority::kCritical, kStart));
  EXPECT_FALSE(gate.try_enter(three, Priority::kCritical, kStart));
  for (Ticket* ticket : {&one, &critical, &another}) gate.leave(*ticket, kStart);
}

TEST(Gate, caps_hold_lower_priorities_below_the_limit_until_they_are_raised) {
  Gate gate;
  gate.set(limited(4), TimePoint{});
  gate.set_caps({Gate::kMany, 2, 1, 0}, kStart);
  Ticket batch, normal, second, high, critical;
  int woken = 0;
  EXPECT_EQ(gate.enter(batch, Priority::kBatch, kNever, [&] { ++woken; }, kStart), State::kWaiting);
  EXPECT_EQ(gate.enter(normal, Priority::kNormal, kNever, kNobody, kStart), State::kInside);
  EXPECT_EQ(gate.enter(second, Priority::kNormal, kNever, [&] { woken += 10; }, kStart), State::kWaiting);
  EXPECT_TRUE(gate.would_wait(Priority::kNormal, kStart));
  EXPECT_EQ(gate.enter(high, Priority::kHigh, kNever, kNobody, kStart), State::kInside);
  EXPECT_TRUE(gate.try_enter(critical, Priority::kCritical, kStart));
  EXPECT_EQ(gate.numbers(kStart).cap, 1);
  gate.leave(high, kStart);
  gate.set_caps({Gate::kMany, 3, 3, 1}, kStart);
  EXPECT_EQ(gate.state_of(second), State::kInside);
  EXPECT_EQ(gate.state_of(batch), State::kWaiting);
  EXPECT_EQ(woken, 10);
  for (Ticket* ticket : {&normal, &second, &critical}) gate.leave(*ticket, kStart);
  EXPECT_EQ(gate.state_of(batch), State::kInside);
  gate.leave(batch, kStart);
  gate.set_caps(Gate::kNoCaps, kStart);
  EXPECT_EQ(gate.numbers(kStart).inside, 0);
}

TEST(Gate, while_it_loads_all_wait_and_when_it_is_stopped_nobody_does) {
  Gate gate;
  Gate::Settings settings = limited(2);
  settings.loads = true;
  gate.set(settings, TimePoint{});
  std::array<Ticket, 4> tickets;
  int woken = 0;
  for (Ticket& ticket : tickets)
    EXPECT_EQ(gate.enter(ticket, Priority::kNormal, kNever, [&] { ++woken; }, kStart), State::kWaiting);
  gate.set_behind(Gate::Behind::kReady, kStart);
  EXPECT_EQ(woken, 2);
  EXPECT_EQ(gate.numbers(kStart).inside, 2);
  gate.set_behind(Gate::Behind::kStopped, kStart);
  EXPECT_EQ(woken, 4);
  EXPECT_EQ(gate.state_of(tickets[3]), State::kStopped);
  Ticket late;
  EXPECT_EQ(gate.enter(late, Priority::kNormal, kNever, kNobody, kStart), State::kStopped);
  for (Ticket& ticket : tickets) gate.leave(ticket, kStart);
  EXPECT_EQ(gate.numbers(kStart).inside, 0);
  // A reload with the same settings does not close it again.
  gate.set_behind(Gate::Behind::kReady, kStart);
  gate.set(settings, TimePoint{});
  EXPECT_TRUE(gate.try_enter(late, Priority::kNormal, kStart));
  gate.leave(late, kStart);
}

TEST(Gate, a_rate_is_kept_by_waiting) {
  Gate gate;
  Gate::Settings settings;
  settings.rate = 2;
  settings.rate_window = milliseconds(1'000);
  gate.set(settings, TimePoint{});
  Ticket one, two, three;
  EXPECT_TRUE(gate.try_enter(one, Priority::kNormal, kStart));
  EXPECT_TRUE(gate.try_enter(two, Priority::kNormal, kStart + milliseconds(10)));
  EXPECT_EQ(gate.enter(three, Priority::kNormal, kNever, kNobody, kStart + milliseconds(20)), State::kWaiting);
  EXPECT_EQ(gate.poll(kStart + milliseconds(30)), kStart + seconds(1));
  EXPECT_EQ(gate.state_of(three), State::kWaiting);
  EXPECT_EQ(gate.poll(kStart + seconds(1)), TimePoint::max());
  EXPECT_EQ(gate.state_of(three), State::kInside);
  for (Ticket* ticket : {&one, &two, &three}) gate.leave(*ticket, kStart);
}

// --- on a virtual clock ----------------------------------------------------------------------------------------

// Requests that come, wait, are answered after `holds` each, or are shed and (if they obey) come back when told.
class Rehearsal {
 public:
  struct Request {
    Ticket ticket;
    Priority priority = Priority::kNormal;
    TimePoint came{};
    TimePoint begun{};
    int shed = 0;
  };

  explicit Rehearsal(const Gate::Settings& settings) { gate.set(settings, TimePoint{}); }

  void come(Priority priority, TimePoint at) {
    auto request = std::make_shared<Request>();
    request->priority = priority;
    request->came = at;
    events_.emplace(at, [this, request](TimePoint now) { arrive(request, now); });
  }
  void run() {
    while (!events_.empty()) {
      auto first = events_.extract(events_.begin());
      first.mapped()(first.key());
    }
  }

  Gate gate;
  Duration holds = milliseconds(500);
  int most_inside = 0;
  std::size_t answered = 0;
  std::map<Priority, std::vector<double>> waits_ms;  // of those that were answered, from their first coming
  std::map<int, int> shed_times;                     // how often one was shed → how many
  TimePoint last{};

 private:
  void arrive(const std::shared_ptr<Request>& request, TimePoint at) {
    if (gate.try_enter(request->ticket, request->priority, at)) return begin(request, at);
    const State state =
        gate.enter(request->ticket, request->priority, kNever, [this, request] { woken_.push_back(request); }, at);
    if (state == State::kInside) begin(request, at);
    if (state == State::kShed) shed(request, at);
    wake(at);
  }
  void wake(TimePoint at) {
    while (!woken_.empty()) {
      const auto request = woken_.front();
      woken_.pop_front();
      gate.state_of(request->ticket) == State::kInside ? begin(request, at) : shed(request, at);
    }
  }
  void begin(const std::shared_ptr<Request>& request, TimePoint at) {
    most_inside = std::max(most_inside, gate.numbers(at).inside);
    waits_ms[request->priority].push_back(to_ms(at - request->came));
    ++shed_times[request->shed];
    events_.emplace(at + holds, [this, request](TimePoint now) {
      gate.leave(request->ticket, now);
      ++answered;
      last = now;
      wake(now);
    });
  }
  void shed(const std::shared_ptr<Request>& request, TimePoint at) {
    const milliseconds later = gate.retry_after(request->ticket);
    EXPECT_GT(later, milliseconds(0));
    EXPECT_LE(later, Gate::kLongestRetryAfter);
    gate.leave(request->ticket, at);
    ++request->shed;
    events_.emplace(at + later, [this, request](TimePoint now) { arrive(request, now); });
  }

  std::multimap<TimePoint, std::function<void(TimePoint)>> events_;
  std::list<std::shared_ptr<Request>> woken_;
};

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0
                        : values[std::min(values.size() - 1,
                                          static_cast<std::size_t>(share * static_cast<double>(values.size())))];
}

TEST(Gate, permits_are_conserved_whatever_comes) {
  std::mt19937_64 engine(2);
  for (int round = 0; round < 40; ++round) {
    const int limit = 1 + static_cast<int>(engine() % 10);
    Gate::Settings settings = limited(limit);
    settings.max_waiting = engine() % 30;
    settings.max_wait = milliseconds(engine() % 5'000);
    Rehearsal run(settings);
    for (int i = 0; i < 500; ++i)
      run.come(static_cast<Priority>(engine() % kPriorities), kStart + milliseconds(engine() % 60'000));
    run.run();
    EXPECT_LE(run.most_inside, limit);
    const Gate::Numbers numbers = run.gate.numbers(kStart);
    EXPECT_EQ(numbers.inside, 0);
    EXPECT_EQ(numbers.waiting, (std::array<std::size_t, kPriorities>{}));
    EXPECT_EQ(run.answered, 500u);  // those that were shed came back, and were answered in the end
  }
}

TEST(Gate, ten_times_too_much_leaves_the_best_goodput_and_the_critical_ones_alone) {
  for (const bool hard : {true, false}) {
    Gate::Settings settings = limited(8);  // 16 answers a second
    settings.hard = hard;
    settings.max_waiting = 40;
    settings.max_wait = milliseconds(3'000);
    Rehearsal run(settings);
    // A minute of 160 a second, of which one is critical.
    for (int i = 0; i < 60 * 160; ++i)
      run.come(i % 160 == 80 ? Priority::kCritical
               : i % 3 == 0  ? Priority::kNormal
                             : Priority::kBatch,
               kStart + milliseconds(i * 1'000 / 160));
    run.run();
    const double seconds_taken = to_ms(run.last - kStart) / 1'000;
    EXPECT_GE(static_cast<double>(run.answered) / seconds_taken, 0.9 * 16) << hard;
    // An answer's first token takes 100 ms of its own: at most half of that on top.
    EXPECT_LE(percentile(run.waits_ms[Priority::kCritical], 0.95), 50) << hard;
  }
}

TEST(Gate, the_time_that_is_told_works_when_it_is_kept) {
  Gate::Settings settings = limited(4);
  settings.max_wait = milliseconds(2'000);
  Rehearsal run(settings);
  for (int i = 0; i < 300; ++i) run.come(Priority::kNormal, kStart + milliseconds(500 + i));
  for (int i = 0; i < 4; ++i) run.come(Priority::kNormal, kStart);  // so that it is known how long one takes
  run.run();
  EXPECT_EQ(run.answered, 304u);
  EXPECT_EQ(run.shed_times[0] + run.shed_times[1], 304) << "someone was sent away twice";
  EXPECT_GT(run.shed_times[1], 200);
}

TEST(Gate, from_many_threads) {
  Gate gate;
  gate.set(limited(5), TimePoint{});
  std::atomic<int> inside{0};
  std::atomic<int> answered{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 2'000; ++i) {
        Ticket ticket;
        auto woken = std::make_shared<std::atomic<bool>>(false);
        const auto priority = static_cast<Priority>((i + t) % static_cast<int>(kPriorities));
        State state = State::kInside;
        if (!gate.try_enter(ticket, priority, now())) {
          state = gate.enter(ticket, priority, now() + seconds(60), [woken] { woken->store(true); }, now());
          if (i % 7 == 0) {
            gate.leave(ticket, now());  // whatever it was
            continue;
          }
          while (state == State::kWaiting) {
            if (!woken->load()) std::this_thread::yield();
            state = gate.state_of(ticket);
          }
        }
        if (state == State::kInside) {
          EXPECT_LE(inside.fetch_add(1) + 1, 5);
          inside.fetch_sub(1);
          ++answered;
        }
        gate.leave(ticket, now());
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(gate.numbers(now()).inside, 0);
  EXPECT_GT(answered.load(), 8 * 1'000);
}

}  // namespace
}  // namespace spillway::admit
