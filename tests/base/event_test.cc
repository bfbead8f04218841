#include "base/event.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <memory>

namespace spillway {
namespace {

Task<> count_waits(Event& event, int& passed, int times) {
  for (int i = 0; i < times; ++i) {
    co_await event.wait();
    ++passed;
  }
}

Task<> hold_while_waiting(Event& event, std::shared_ptr<int>) { co_await event.wait(); }

TEST(Event, notify_resumes_the_waiter_within_the_call) {
  asio::io_context loop(1);
  Event event;
  int passed = 0;
  asio::co_spawn(loop, count_waits(event, passed, 2), asio::detached);
  loop.poll();
  EXPECT_EQ(passed, 0);
  asio::post(loop, [&] {
    event.notify();
    EXPECT_EQ(passed, 1);
    event.notify();
    EXPECT_EQ(passed, 2);
  });
  loop.restart();
  loop.poll();
  EXPECT_EQ(passed, 2);
}

TEST(Event, a_notification_before_the_wait_is_remembered_once) {
  asio::io_context loop(1);
  Event event;
  event.notify();
  event.notify();
  int passed = 0;
  asio::co_spawn(loop, count_waits(event, passed, 2), asio::detached);
  loop.poll();
  EXPECT_EQ(passed, 1);
}

TEST(Event, reset_forgets_a_notification) {
  asio::io_context loop(1);
  Event event;
  event.notify();
  event.reset();
  int passed = 0;
  asio::co_spawn(loop, count_waits(event, passed, 1), asio::detached);
  loop.poll();
  EXPECT_EQ(passed, 0);
}

TEST(Event, destroying_it_frees_the_coroutine_that_waits) {
  asio::io_context loop(1);
  auto held = std::make_shared<int>(0);
  const std::weak_ptr<int> watch = held;
  auto event = std::make_unique<Event>();
  asio::co_spawn(loop, hold_while_waiting(*event, std::move(held)), asio::detached);
  loop.poll();
  EXPECT_FALSE(watch.expired());
  event.reset();
  loop.restart();
  loop.poll();  // Asio unwinds a coroutine from its own loop
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace spillway
