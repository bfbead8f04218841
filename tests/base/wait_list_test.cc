#include "base/wait_list.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <memory>
#include <vector>

namespace spillway {
namespace {

struct Waiter {
  WaitList::Node node;
  int woken = 0;
};

Task<> wait_in(WaitList& list, std::shared_ptr<Waiter> waiter, std::function<void()> then) {
  list.add(waiter->node);
  co_await waiter->node.event.wait();
  waiter->node.unlink();
  ++waiter->woken;
  if (then) then();
}

class WaitLists : public ::testing::Test {
 protected:
  std::shared_ptr<Waiter> wait(std::function<void()> then = {}) {
    auto waiter = std::make_shared<Waiter>();
    asio::co_spawn(loop_, wait_in(list_, waiter, std::move(then)), asio::detached);
    loop_.restart();
    loop_.poll();
    return waiter;
  }

  asio::io_context loop_{1};
  WaitList list_;
};

TEST_F(WaitLists, all_that_wait_are_resumed_in_their_order) {
  std::vector<int> order;
  for (int i = 0; i < 5; ++i) wait([&order, i] { order.push_back(i); });
  EXPECT_EQ(list_.size(), 5u);
  list_.notify_all();
  EXPECT_EQ(order, (std::vector<int>{0, 1, 2, 3, 4}));
  EXPECT_EQ(list_.size(), 0u);
}

TEST_F(WaitLists, one_that_ends_another_while_it_is_resumed_leaves_nothing_stale) {
  std::shared_ptr<Waiter> loser;
  const auto winner = wait([&] { loser->node.event.notify(); });
  loser = wait();
  const auto third = wait();
  std::weak_ptr<Waiter> watched = loser;
  list_.notify_all();
  EXPECT_EQ(loser->woken, 1);
  EXPECT_EQ(third->woken, 1);
  loser.reset();
  EXPECT_TRUE(watched.expired());
}

TEST_F(WaitLists, who_comes_during_a_round_waits_for_the_next) {
  std::shared_ptr<Waiter> late;
  wait([&] {
    late = std::make_shared<Waiter>();
    list_.add(late->node);
  });
  list_.notify_all();
  EXPECT_EQ(list_.size(), 1u);
}

TEST_F(WaitLists, a_node_leaves_when_it_is_destroyed_and_a_list_lets_go_of_its_nodes) {
  auto outlives = std::make_unique<WaitList::Node>();
  {
    WaitList list;
    list.add(*outlives);
    {
      WaitList::Node gone;
      list.add(gone);
      EXPECT_EQ(list.size(), 2u);
    }
    EXPECT_EQ(list.size(), 1u);
  }
  outlives->unlink();
}

}  // namespace
}  // namespace spillway
