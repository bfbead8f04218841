#include "backend/slot_book.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <optional>
#include <set>
#include <thread>
#include <vector>

namespace spillway::backend {
namespace {

using Chain = std::vector<std::uint64_t>;

// A conversation: `length` links that no other number shares, behind `beginning`.
Chain chain(std::uint64_t number, std::size_t length, Chain beginning = {}) {
  for (std::size_t i = 0; i < length; ++i) beginning.push_back(number * 1000 + i);
  return beginning;
}

std::size_t ask(SlotBook& book, const Chain& text) {
  SlotBook::Claim claim = book.claim(text);
  EXPECT_TRUE(claim.has_slot());
  claim.answered();
  return claim.slot();
}

TEST(SlotBook, a_conversation_goes_on_in_its_slot) {
  SlotBook book;
  book.begin_anew(4, 0);
  const std::size_t first = ask(book, chain(1, 5));
  const std::size_t second = ask(book, chain(2, 5));
  EXPECT_NE(first, second);
  EXPECT_EQ(book.held(chain(1, 8)), 5u);
  EXPECT_EQ(ask(book, chain(1, 8)), first);
  EXPECT_EQ(ask(book, chain(2, 9)), second);
  EXPECT_EQ(book.held(chain(1, 12)), 8u);
  EXPECT_EQ(book.held(chain(3, 12)), 0u);
}

TEST(SlotBook, conversations_with_one_system_prompt_do_not_drive_each_other_out) {
  SlotBook book;
  book.begin_anew(4, 0);
  const Chain system = chain(9, 2);
  std::set<std::size_t> slots;
  for (std::uint64_t number = 1; number <= 4; ++number) slots.insert(ask(book, chain(number, 10, system)));
  EXPECT_EQ(slots.size(), 4u);
  for (std::uint64_t number = 1; number <= 4; ++number) EXPECT_EQ(book.held(chain(number, 10, system)), 12u);
}

TEST(SlotBook, where_all_are_taken_the_oldest_makes_way) {
  SlotBook book;
  book.begin_anew(3, 0);
  for (std::uint64_t number = 1; number <= 3; ++number) ask(book, chain(number, 4));
  ask(book, chain(1, 5));
  ask(book, chain(4, 4));
  EXPECT_EQ(book.held(chain(2, 4)), 0u);
  EXPECT_EQ(book.held(chain(1, 5)), 5u);
  EXPECT_EQ(book.held(chain(3, 4)), 4u);
}

TEST(SlotBook, a_new_beginning_of_the_same_kind_takes_over_what_is_mostly_its_own) {
  SlotBook book;
  book.begin_anew(2, 0);
  const std::size_t first = ask(book, chain(1, 1, chain(9, 10)));
  ask(book, chain(2, 4));
  ask(book, chain(1, 1, chain(9, 10)));  // the one used last
  EXPECT_EQ(ask(book, chain(3, 1, chain(9, 10))), first);
  EXPECT_EQ(book.held(chain(2, 4)), 4u);
}

TEST(SlotBook, a_busy_slot_is_neither_given_nor_counted) {
  SlotBook book;
  book.begin_anew(2, 0);
  std::optional<SlotBook::Claim> one = book.claim(chain(1, 4));
  one->answered();
  EXPECT_EQ(book.held(chain(1, 4)), 0u);
  SlotBook::Claim two = book.claim(chain(1, 4));
  EXPECT_NE(one->slot(), two.slot());
  EXPECT_FALSE(book.claim(chain(3, 4)).has_slot());
  one.reset();
  EXPECT_EQ(book.held(chain(1, 4)), 4u);
}

TEST(SlotBook, what_was_not_answered_is_not_held) {
  SlotBook book;
  book.begin_anew(1, 0);
  {
    const SlotBook::Claim claim = book.claim(chain(1, 4));
  }
  EXPECT_EQ(book.held(chain(1, 4)), 0u);
}

TEST(SlotBook, another_engine_holds_nothing_and_claims_of_the_one_before_do_not_touch_it) {
  SlotBook book;
  book.begin_anew(1, 0);
  std::optional<SlotBook::Claim> old = book.claim(chain(1, 4));
  old->answered();
  book.begin_anew(1, 0);
  const SlotBook::Claim now = book.claim(chain(2, 4));
  ASSERT_TRUE(now.has_slot());
  old.reset();
  EXPECT_FALSE(book.claim(chain(3, 4)).has_slot());
  EXPECT_FALSE(SlotBook().claim(chain(1, 1)).has_slot());
}

TEST(SlotBook, what_loses_its_slot_is_kept_in_the_cache_up_to_its_size) {
  SlotBook book;
  book.begin_anew(1, 10);
  ask(book, chain(1, 4));
  ask(book, chain(2, 4));
  EXPECT_EQ(book.held(chain(1, 4)), 4u);
  ask(book, chain(3, 4));
  ask(book, chain(4, 4));
  EXPECT_EQ(book.held(chain(1, 4)), 0u);  // 2 and 3 are kept, which is all that it takes
  EXPECT_EQ(book.held(chain(2, 4)), 4u);
  ask(book, chain(2, 6));  // taken out of the cache again
  EXPECT_EQ(book.held(chain(2, 6)), 6u);
  EXPECT_EQ(book.held(chain(4, 4)), 4u);
}

// Against a plain model of slots: no slot is ever given twice, and what is said to be held is what was asked there
// last.
TEST(SlotBook, holds_what_it_says_whatever_the_order) {
  std::uint64_t state = 7;
  const auto random = [&state](std::uint64_t below) {
    state = state * 6364136223846793005 + 1442695040888963407;
    return (state >> 33) % below;
  };
  SlotBook book;
  book.begin_anew(4, 0);
  std::vector<Chain> last(4);
  std::deque<std::pair<SlotBook::Claim, Chain>> under_way;
  for (int i = 0; i < 20'000; ++i) {
    if (!under_way.empty() && random(2) == 0) {
      under_way.front().first.answered();
      last[under_way.front().first.slot()] = under_way.front().second;
      under_way.pop_front();
      continue;
    }
    const Chain text = chain(random(6), 1 + random(4), chain(100 + random(2), random(3)));
    SlotBook::Claim claim = book.claim(text);
    ASSERT_EQ(claim.has_slot(), under_way.size() < 4);
    if (!claim.has_slot()) continue;
    for (const auto& [other, said] : under_way) ASSERT_NE(other.slot(), claim.slot());
    under_way.emplace_back(std::move(claim), text);
    std::size_t most = 0;
    const Chain probe = chain(random(6), 4, chain(100 + random(2), random(3)));
    for (std::size_t slot = 0; slot < last.size(); ++slot) {
      const bool busy = std::ranges::any_of(under_way, [&](const auto& one) { return one.first.slot() == slot; });
      if (busy) continue;
      const auto same = std::ranges::mismatch(probe, last[slot]).in1 - probe.begin();
      most = std::max(most, static_cast<std::size_t>(same));
    }
    ASSERT_EQ(book.held(probe), most);
  }
}

TEST(SlotBook, is_shared_by_threads) {
  SlotBook book;
  book.begin_anew(4, 100);
  std::vector<std::thread> threads;
  for (std::uint64_t number = 0; number < 4; ++number) {
    threads.emplace_back([&book, number] {
      for (std::uint64_t i = 0; i < 2000; ++i) {
        SlotBook::Claim claim = book.claim(chain(number, 1 + i % 5));
        ASSERT_TRUE(claim.has_slot());
        ASSERT_LE(book.held(chain(number, 5)), 5u);
        claim.answered();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace spillway::backend
