#include "admit/queue.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <list>
#include <random>
#include <vector>

#include "admit/gate.h"

namespace spillway::admit {
namespace {

TEST(Queue, the_higher_priority_goes_first_and_within_one_who_came_first) {
  Queue queue;
  Ticket batch, normal, high, critical, normal2;
  for (auto [ticket, priority] : {std::pair{&batch, Priority::kBatch},
                                  {&normal, Priority::kNormal},
                                  {&high, Priority::kHigh},
                                  {&critical, Priority::kCritical},
                                  {&normal2, Priority::kNormal}})
    EXPECT_EQ(queue.push(*ticket, priority), nullptr);
  EXPECT_EQ(queue.ahead_of(Priority::kNormal), 4u);
  EXPECT_EQ(queue.pop(Priority::kCritical), &critical);
  EXPECT_EQ(queue.pop(Priority::kCritical), nullptr);
  for (Ticket* expected : {&high, &normal, &normal2, &batch}) EXPECT_EQ(queue.pop(), expected);
  EXPECT_EQ(queue.pop(), nullptr);
}

TEST(Queue, where_it_is_full_the_newest_of_the_lowest_gives_way_to_a_higher_one) {
  Queue queue;
  queue.set_most(3);
  Ticket high, batch1, batch2, another, critical;
  queue.push(batch1, Priority::kBatch);
  queue.push(batch2, Priority::kBatch);
  queue.push(high, Priority::kHigh);
  EXPECT_EQ(queue.push(another, Priority::kBatch), &another);
  EXPECT_EQ(queue.push(critical, Priority::kCritical), &batch2);
  EXPECT_EQ(queue.size(), 3u);
  EXPECT_TRUE(queue.remove(batch1));
  EXPECT_FALSE(queue.remove(batch1));
  EXPECT_FALSE(queue.remove(batch2));
}

// Random comings and goings against a plain list: who is next is the first of the highest priority, nobody is lost, and
// whoever has k before it in time leaves after at most kGuard · (k + 1) others.
TEST(Queue, nobody_starves) {
  std::mt19937_64 engine(11);
  for (int round = 0; round < 50; ++round) {
    Queue queue;
    struct Known {
      Ticket ticket;
      Priority priority;
      std::size_t must_leave_by;  // pops
    };
    std::list<Known> waiting;  // in the order of coming
    std::size_t pops = 0;
    for (int step = 0; step < 2'000; ++step) {
      const auto roll = engine() % 10;
      // Critical ones keep coming faster than anybody leaves, for a while.
      if (roll < 5) {
        const auto priority = static_cast<Priority>(engine() % 10 < 7 ? 0 : engine() % kPriorities);
        Known& known = waiting.emplace_back();
        known.priority = priority;
        known.must_leave_by = pops + Queue::kGuard * waiting.size();
        if (queue.push(known.ticket, priority) == &known.ticket) waiting.pop_back();
      } else if (roll < 9) {
        Ticket* const out = queue.pop();
        ++pops;
        if (out == nullptr) {
          EXPECT_TRUE(waiting.empty());
          continue;
        }
        const auto found = std::find_if(waiting.begin(), waiting.end(), [&](Known& one) { return &one.ticket == out; });
        ASSERT_NE(found, waiting.end());
        EXPECT_LE(pops, found->must_leave_by);
        waiting.erase(found);
      } else if (!waiting.empty()) {
        auto victim = waiting.begin();
        std::advance(victim, engine() % waiting.size());
        EXPECT_TRUE(queue.remove(victim->ticket));
        waiting.erase(victim);
      }
      ASSERT_EQ(queue.size(), waiting.size());
    }
  }
}

TEST(Priorities, have_four_words) {
  for (const char* word : {"critical", "high", "normal", "batch"}) EXPECT_EQ(to_string(*parse_priority(word)), word);
  for (const char* word : {"", "Critical", "urgent", "critical "}) EXPECT_FALSE(parse_priority(word));
}

}  // namespace
}  // namespace spillway::admit
