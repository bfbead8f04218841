#include "route/prefix_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace spillway::route {
namespace {

constexpr double kCapacity = 7 * 1088;  // tokens

std::string text_of(std::size_t size, char fill = 'a') { return std::string(size, fill); }

TEST(PrefixChain, has_a_link_for_each_whole_block) {
  EXPECT_TRUE(prefix_chain("").empty());
  EXPECT_TRUE(prefix_chain(text_of(kPrefixBlock - 1)).empty());
  EXPECT_EQ(prefix_chain(text_of(3 * kPrefixBlock + 7)).size(), 3u);
  EXPECT_EQ(prefix_chain(text_of(10 * kPrefixBlocks * kPrefixBlock)).size(), kPrefixBlocks);
}

TEST(PrefixChain, is_shared_as_far_as_the_text_is_and_no_further) {
  const std::string one = text_of(2 * kPrefixBlock) + text_of(2 * kPrefixBlock, 'b');
  const std::string other = text_of(2 * kPrefixBlock) + text_of(2 * kPrefixBlock, 'c');
  const PrefixChain a = prefix_chain(one);
  const PrefixChain b = prefix_chain(other);
  EXPECT_EQ(a[1], b[1]);
  EXPECT_NE(a[2], b[2]);
  // What comes again behind another beginning is another link.
  EXPECT_NE(prefix_chain(text_of(kPrefixBlock, 'x') + one)[1], a[0]);
}

TEST(PrefixMap, knows_what_a_replica_was_given_of_late) {
  PrefixMap map;
  const PrefixChain chain = prefix_chain(text_of(4 * kPrefixBlock));
  EXPECT_EQ(map.held(chain, 0, 1000), 0);
  map.note(PrefixChain(chain.begin(), chain.begin() + 3), 0, 192);
  map.note(PrefixChain(chain.begin(), chain.begin() + 1), 1, 64);
  EXPECT_EQ(map.held(chain, 0, 1000), 192);
  EXPECT_EQ(map.held(chain, 1, 1000), 64);
  map.note(chain, 99, 1);
  EXPECT_EQ(map.held(chain, 99, 1000), 0);
}

TEST(PrefixMap, forgets_what_others_have_pushed_out) {
  PrefixMap map;
  const PrefixChain chain = prefix_chain(text_of(4 * kPrefixBlock));
  map.note(chain, 0, 256);
  map.note(prefix_chain(text_of(8 * kPrefixBlock, 'b')), 0, 512);
  EXPECT_EQ(map.held(chain, 0, 1000), 256);
  map.note(prefix_chain(text_of(8 * kPrefixBlock, 'c')), 0, 512);
  EXPECT_EQ(map.held(chain, 0, 1000), 0);
  // What is asked again and again costs little, and stays.
  map.note(chain, 1, 256);
  for (int i = 0; i < 20; ++i) map.note(chain, 1, 10);
  EXPECT_EQ(map.held(chain, 1, 1000), 256);
}

// By their tokens in flight, and what they hold of `chain` as `map` has it.
std::vector<ReplicaLoad> loads(std::vector<double> tokens, const PrefixMap* map = nullptr,
                               const PrefixChain& chain = {}) {
  std::vector<ReplicaLoad> out;
  for (std::size_t i = 0; i < tokens.size(); ++i)
    out.push_back({tokens[i], false, true, map == nullptr ? 0 : map->held(chain, i, kCapacity), i});
  return out;
}

using Order = std::vector<std::uint32_t>;

TEST(Balance, goes_where_the_fewest_tokens_are_to_be_computed) {
  PrefixMap map;
  const PrefixChain chain = prefix_chain(text_of(8 * kPrefixBlock));  // 512 tokens
  EXPECT_EQ(balance(loads({900, 100, 500}), {}, 512, 1).order, (Order{1, 2, 0}));
  map.note(chain, 0, 512);
  // The first one need not compute the prompt again: 1,000 in flight are less than 100 and twice 512.
  EXPECT_EQ(balance(loads({1000, 100}, &map, chain), chain, 512, 1).order.front(), 0u);
  // But not at any price.
  EXPECT_EQ(balance(loads({1300, 100}, &map, chain), chain, 512, 1).order.front(), 1u);
}

TEST(Balance, takes_what_is_full_later_and_what_is_not_there_last) {
  std::vector<ReplicaLoad> replicas = loads({0, 5000, 100});
  replicas[0].usable = false;
  replicas[2].full = true;
  EXPECT_EQ(balance(replicas, {}, 10, 1).order, (Order{1, 2, 0}));
}

TEST(Balance, sends_the_same_beginning_to_the_same_one_among_alikes) {
  const PrefixChain chain = prefix_chain(text_of(kPrefixBlock, 'q'));
  const std::uint32_t first = balance(loads({0, 0, 0}), chain, 64, 1).order.front();
  for (std::uint64_t salt = 0; salt < 50; ++salt)
    EXPECT_EQ(balance(loads({0, 0, 0}), chain, 64, salt).order.front(), first);
  std::array<int, 3> counts{};
  for (std::uint64_t salt = 0; salt < 3000; ++salt)
    ++counts[balance(loads({0, 0, 0}), {}, 64, salt * 977).order.front()];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
}

// Two engines that compute 1,000 tokens of a prompt a second, one after the other, and remember the last 6
// conversations' groups each. The mean time to the first token in a crowd at `rate`, of which `shared` begin with one
// of `groups` long beginnings.
double mean_ttft(double shared, int groups, bool by_prefix, std::uint32_t seed) {
  struct Engine {
    double free_at = 0;
    double tokens = 0;                         // in flight
    std::vector<std::pair<int, double>> held;  // what, and its tokens; the least recently used first
    // Was it there? It is now.
    bool touch(int what, double size) {
      const bool there = std::erase_if(held, [what](const auto& each) { return each.first == what; }) > 0;
      held.emplace_back(what, size);
      double sum = 0;
      for (const auto& each : held) sum += each.second;
      while (sum > kCapacity) {
        sum -= held.front().second;
        held.erase(held.begin());
      }
      return there;
    }
  };
  struct Flight {
    double until;
    std::size_t engine;
    double tokens;
  };
  std::mt19937 random(seed);
  std::exponential_distribution<double> gap(1.5);
  std::uniform_real_distribution<double> uniform(0, 1);
  std::vector<Engine> engines(2);
  std::vector<Flight> flights;
  PrefixMap map;
  double now = 0;
  double sum = 0;
  constexpr int kRequests = 4000;
  constexpr double kPrompt = 1088;  // tokens
  constexpr double kRest = 64;      // of them, behind the beginning
  for (int i = 0; i < kRequests; ++i) {
    now += gap(random);
    std::erase_if(flights, [&](const Flight& flight) {
      if (flight.until > now) return false;
      engines[flight.engine].tokens -= flight.tokens;
      return true;
    });
    const bool in_group = uniform(random) < shared;
    const int group = in_group ? static_cast<int>(random() % static_cast<unsigned>(groups)) : 1000 + i;
    std::string beginning = std::to_string(group);
    beginning.resize(16 * kPrefixBlock, 'g');
    std::string whole = beginning + std::to_string(i);
    whole.resize(17 * kPrefixBlock, 'u');
    const PrefixChain chain = by_prefix ? prefix_chain(whole) : PrefixChain();
    const Balanced best = balance(loads({engines[0].tokens, engines[1].tokens}, &map, chain), chain, kPrompt, random());
    const std::size_t chosen = best.order.front();
    map.note(chain, chosen, best.computed[chosen]);
    Engine& engine = engines[chosen];
    const bool warm = engine.touch(group, kPrompt - kRest);
    engine.touch(-1 - i, kRest);
    const double work = (warm ? kRest : kPrompt) / 1000;
    engine.free_at = std::max(engine.free_at, now) + work;
    sum += engine.free_at - now;
    engine.tokens += best.computed[chosen];
    flights.push_back({engine.free_at, chosen, best.computed[chosen]});
  }
  return sum / kRequests;
}

TEST(Balance, by_prefix_halves_the_first_token_where_beginnings_are_shared_and_costs_nothing_where_they_are_not) {
  for (const std::uint32_t seed : {1u, 2u, 3u}) {
    const double shared = mean_ttft(0.9, 8, true, seed) / mean_ttft(0.9, 8, false, seed);
    const double none = mean_ttft(0, 8, true, seed) / mean_ttft(0, 8, false, seed);
    const double one = mean_ttft(0.26, 1, true, seed) / mean_ttft(0.26, 1, false, seed);
    EXPECT_LT(shared, 0.5) << seed;
    EXPECT_LT(none, 1.03) << seed;
    EXPECT_LT(one, 1.03) << seed;
  }
}

}  // namespace
}  // namespace spillway::route
