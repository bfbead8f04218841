#include "http/resolver.h"

#include <gtest/gtest.h>

#include <boost/asio/error.hpp>
#include <future>
#include <mutex>

#include "http/loopback.h"

namespace spillway::http {
namespace {

using spillway::testing::run_task;
using spillway::testing::run_until;

class Resolving : public ::testing::Test {
 protected:
  Resolver::Answer resolve(const std::string& host, Duration patience = seconds(60)) {
    return run_task(loop_, resolver_.resolve(host, 8080, now() + patience));
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  Resolver resolver_{loop_, timers_};
};

TEST_F(Resolving, literal_addresses_are_taken_as_they_are) {
  const auto four = resolve("127.0.0.1");
  ASSERT_FALSE(four.status);
  ASSERT_EQ(four.endpoints.size(), 1u);
  EXPECT_EQ(four.endpoints[0].address().to_string(), "127.0.0.1");
  EXPECT_EQ(four.endpoints[0].port(), 8080);
  EXPECT_EQ(resolve("::1").endpoints.at(0).address().to_string(), "::1");
}

TEST_F(Resolving, localhost_is_a_loopback_address) {
  const auto answer = resolve("localhost");
  ASSERT_FALSE(answer.status) << answer.status.message();
  ASSERT_FALSE(answer.endpoints.empty());
  for (const auto& endpoint : answer.endpoints) {
    EXPECT_TRUE(endpoint.address().is_loopback());
    EXPECT_EQ(endpoint.port(), 8080);
  }
}

TEST_F(Resolving, a_known_name_is_answered_at_once) {
  resolve("localhost");
  bool answered = false;
  asio::co_spawn(loop_, resolver_.resolve("localhost", 1, now() + seconds(60)),
                 [&](std::exception_ptr, const Resolver::Answer& answer) { answered = !answer.endpoints.empty(); });
  spillway::testing::settle(loop_);  // waits for nothing, so for no look-up either
  EXPECT_TRUE(answered);
}

TEST_F(Resolving, many_waiters_of_one_name_are_all_answered) {
  int answered = 0;
  for (int i = 0; i < 50; ++i) {
    asio::co_spawn(
        loop_, resolver_.resolve("localhost", 1, now() + seconds(60)),
        [&](std::exception_ptr, const Resolver::Answer& answer) { answered += answer.endpoints.empty() ? 0 : 1; });
  }
  EXPECT_TRUE(run_until(loop_, [&] { return answered == 50; }));
}

TEST_F(Resolving, a_name_that_does_not_exist_fails) {
  const auto answer = resolve("does-not-exist.invalid");
  EXPECT_TRUE(answer.status);
  EXPECT_TRUE(answer.endpoints.empty());
}

TEST_F(Resolving, an_instant_that_has_passed_ends_the_wait_though_the_lookup_goes_on) {
  const auto answer = resolve("does-not-exist-either.invalid", Duration(0));
  EXPECT_TRUE(answer.status);
  EXPECT_TRUE(answer.endpoints.empty());
}

TEST_F(Resolving, a_warmed_name_is_known_at_its_first_use) {
  resolver_.warm("localhost");
  resolver_.warm("127.0.0.1");
  resolve("localhost");
  EXPECT_FALSE(resolve("localhost", Duration(0)).endpoints.empty());
}

TEST_F(Resolving, a_lookup_may_outlive_those_who_asked) {
  asio::io_context loop(1);
  LoopTimers timers(loop);
  {
    Resolver resolver(loop, timers);
    resolver.warm("does-not-exist-later.invalid");
  }
  loop.run();
}

// A look-up that the test answers, and counts.
class Scripted : public ::testing::Test {
 protected:
  Resolver::Answer resolve(Duration patience = seconds(60)) {
    return run_task(loop_, resolver_.resolve("api.example", 443, now() + patience));
  }
  static std::vector<std::string> texts(const Resolver::Answer& answer) {
    std::vector<std::string> out;
    for (const auto& endpoint : answer.endpoints) out.push_back(endpoint.address().to_string());
    return out;
  }

  std::mutex mutex_;
  Resolver::Found next_;  // guarded by mutex_
  int asked_ = 0;         // guarded by mutex_
  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  Resolver resolver_{loop_, timers_, [this](const std::string&) {
                       const std::lock_guard lock(mutex_);
                       ++asked_;
                       return next_;
                     }};
};

TEST_F(Scripted, a_name_that_failed_is_not_asked_again_by_every_request) {
  next_.status = asio::error::host_not_found;
  for (int i = 0; i < 20; ++i) EXPECT_EQ(resolve().status, asio::error::host_not_found);
  EXPECT_EQ(asked_, 1);
}

TEST_F(Scripted, the_address_that_answered_comes_first) {
  next_.addresses = {asio::ip::make_address("::1"), asio::ip::make_address("10.0.0.1"),
                     asio::ip::make_address("10.0.0.2")};
  EXPECT_EQ(texts(resolve()), (std::vector<std::string>{"::1", "10.0.0.1", "10.0.0.2"}));
  resolver_.prefer("api.example", asio::ip::make_address("10.0.0.2"));
  EXPECT_EQ(texts(resolve()), (std::vector<std::string>{"10.0.0.2", "::1", "10.0.0.1"}));
  resolver_.prefer("api.example", asio::ip::make_address("10.9.9.9"));
  EXPECT_EQ(texts(resolve()), (std::vector<std::string>{"10.0.0.2", "::1", "10.0.0.1"}));
  resolver_.prefer("other.example", asio::ip::make_address("10.0.0.1"));
}

TEST(Resolver, its_end_waits_for_no_lookup) {
  const auto go_on = std::make_shared<std::promise<void>>();
  const auto ended = std::make_shared<std::promise<void>>();
  std::future<void> end = ended->get_future();
  {
    asio::io_context loop(1);
    LoopTimers timers(loop);
    Resolver resolver(loop, timers, [go_on, ended](const std::string&) {
      go_on->get_future().wait();
      ended->set_value();
      return Resolver::Found{};
    });
    resolver.warm("dead.example");
    EXPECT_EQ(run_task(loop, resolver.resolve("dead.example", 1, now() + milliseconds(20))).status,
              asio::error::timed_out);
  }
  go_on->set_value();
  end.wait();
}

}  // namespace
}  // namespace spillway::http
