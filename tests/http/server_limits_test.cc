// Limits and time-outs of a Server's connections.
#include <gtest/gtest.h>

#include "http/server_fixture.h"

namespace spillway::http {
namespace {

using testing::count;
using testing::get;
using testing::post;
using testing::ServerTest;

constexpr milliseconds kShort{60};

TEST_F(ServerTest, a_body_that_is_too_large_is_refused_before_it_is_read) {
  ServerLimits limits;
  limits.parser.max_body = 1000;
  start(limits);
  const auto client = connect();
  client->send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return client->text.find("413 Content Too Large") != std::string::npos; }))
      << client->text;
  client->close();
  EXPECT_TRUE(handler_.handled.empty());
}

TEST_F(ServerTest, an_upload_that_goes_on_does_not_tear_the_refusal) {
  ServerLimits limits;
  limits.parser.max_body = 1000;
  start(limits);
  const auto client = connect();
  client->send("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 41943040\r\n\r\n" + std::string(40u << 20, 'b'));
  ASSERT_TRUE(
      run_until([&] { return client->text.find("limits.max_body") != std::string::npos && client->all_sent(); }));
  ASSERT_TRUE(run_until([&] { return client->ended.has_value(); }));
  EXPECT_TRUE(client->closed_in_order()) << client->ended->message();
}

TEST_F(ServerTest, a_client_that_waits_for_100_with_too_large_a_body_gets_413) {
  ServerLimits limits;
  limits.parser.max_body = 1000;
  start(limits);
  const auto client = connect();
  client->send("POST /x HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return client->text.find(" 413 ") != std::string::npos; }));
  EXPECT_EQ(count(client->text, "100 Continue"), 0u);
}

TEST_F(ServerTest, a_header_that_is_too_large_is_refused) {
  ServerLimits limits;
  limits.parser.max_header = 1000;
  start(limits);
  const std::string text = exchange(get("/x", "A: " + std::string(1100, 'a') + "\r\n"));
  EXPECT_TRUE(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n")) << text;
}

TEST_F(ServerTest, a_header_that_does_not_come_in_time_gets_408_and_a_close) {
  ServerLimits limits;
  limits.header_timeout = kShort;
  start(limits);
  const TimePoint from = now();
  const std::string text = exchange("GET / HT");
  EXPECT_TRUE(text.starts_with("HTTP/1.1 408 Request Timeout\r\n")) << text;
  EXPECT_GE(now() - from, kShort);
}

TEST_F(ServerTest, a_header_that_drips_is_not_waited_for_longer) {
  ServerLimits limits;
  limits.header_timeout = kShort;
  start(limits);
  const auto client = connect();
  std::size_t sent = 0;
  const std::string drip = "GET / HTTP/1.1\r\nHost: x\r\nA: " + std::string(100'000, 'a');
  client->send(drip.substr(sent++, 1));  // before the server's first look: a silent client gets no answer
  LoopTimers::Entry timer(timers_, [&] {
    if (client->ended) return;
    client->send(drip.substr(sent++, 1));
    timer.arm(now() + milliseconds(5));
  });
  timer.arm(now());
  ASSERT_TRUE(run_until([&] { return client->text.find(" 408 ") != std::string::npos; })) << client->text;
}

TEST_F(ServerTest, a_connection_that_says_nothing_is_closed_without_a_word) {
  ServerLimits limits;
  limits.header_timeout = kShort;
  start(limits);
  EXPECT_EQ(exchange(""), "");
}

TEST_F(ServerTest, a_body_that_does_not_come_in_time_gets_408_and_a_close) {
  ServerLimits limits;
  limits.body_timeout = kShort;
  start(limits);
  const std::string text = exchange(post("/x", "hello").substr(0, post("/x", "hello").size() - 2));
  EXPECT_TRUE(text.starts_with("HTTP/1.1 408 ")) << text;
  EXPECT_NE(text.find("body"), std::string::npos);
  EXPECT_TRUE(handler_.handled.empty());
}

TEST_F(ServerTest, an_idle_connection_is_closed_after_keep_alive_timeout) {
  ServerLimits limits;
  limits.keep_alive_timeout = kShort;
  start(limits);
  const auto client = connect();
  client->send(get("/a"));
  const TimePoint from = now();
  ASSERT_TRUE(run_until([&] { return client->ended.has_value(); }));
  EXPECT_GE(now() - from, kShort);
  EXPECT_TRUE(client->closed_in_order());
  EXPECT_EQ(count(client->text, "HTTP/1.1"), 1u);
}

TEST_F(ServerTest, a_request_that_is_handled_for_long_is_not_timed_by_the_read_limits) {
  ServerLimits limits;
  limits.header_timeout = limits.body_timeout = limits.keep_alive_timeout = kShort;
  start(limits);
  const auto client = connect();
  client->send(get("/wait"));
  bool released = false;
  LoopTimers::Entry timer(timers_, [&] {
    released = true;
    handler_.release();
  });
  timer.arm(now() + 3 * kShort);
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("released"); })) << client->text;
  EXPECT_TRUE(released);
  EXPECT_EQ(handler_.gone, 0);
}

TEST_F(ServerTest, a_reader_that_takes_nothing_for_write_timeout_is_reset) {
  ServerLimits limits;
  limits.write_timeout = kShort;
  start(limits);
  const auto client = connect(/*read=*/false);
  client->send(get("/big"));
  ASSERT_TRUE(run_until([&] { return handler_.big_ended; }));
  EXPECT_FALSE(handler_.big_sent);
  ASSERT_TRUE(run_until([&] { return server_->open_connections() == 0; }));
  client->read();
  ASSERT_TRUE(run_until([&] { return client->ended.has_value(); }));
  EXPECT_TRUE(client->was_reset()) << client->ended->message();
  EXPECT_LT(client->text.size(), 8u << 20);
}

TEST_F(ServerTest, a_slow_reader_stops_the_writer_and_no_memory_is_filled) {
  start();
  const auto client = connect(/*read=*/false);
  client->send(get("/endless"));
  std::size_t before = 1;
  ASSERT_TRUE(run_until([&] {
    spillway::testing::settle(loop_);
    return std::exchange(before, handler_.written) == handler_.written && before > 0;
  }));
  const std::size_t stopped_at = handler_.written;
  client->read();
  ASSERT_TRUE(run_until([&] { return handler_.written > stopped_at + (1u << 20); }));
  client->close();
  ASSERT_TRUE(run_until([&] { return handler_.ended_endless; }));
}

TEST_F(ServerTest, connections_beyond_the_limit_get_503_and_later_ones_are_served_again) {
  ServerLimits limits;
  limits.max_connections = 2;
  start(limits);
  auto one = connect();
  auto two = connect();
  ASSERT_TRUE(run_until([&] { return server_->open_connections() == 2; }));
  const auto three = connect();
  ASSERT_TRUE(run_until([&] { return three->ended.has_value(); }));
  EXPECT_TRUE(three->text.starts_with("HTTP/1.1 503 Service Unavailable\r\n")) << three->text;
  EXPECT_NE(three->text.find("Retry-After: 1\r\n"), std::string::npos);
  EXPECT_EQ(client_load_->connections.load(), 2u);
  one->close();
  ASSERT_TRUE(run_until([&] { return server_->open_connections() == 1; }));
  const auto four = connect();
  four->send(get("/four"));
  EXPECT_TRUE(run_until([&] { return four->text.ends_with("0 /four "); }));
}

TEST_F(ServerTest, large_bodies_pass_and_their_buffers_are_given_back) {
  start();
  const std::string body(3u << 20, 'B');
  const auto client = connect();
  for (std::size_t i = 1; i <= 2; ++i) {
    client->send(post("/large", body));
    ASSERT_TRUE(run_until([&] {
      return count(client->text, "2 /large B") == i && client->text.ends_with('B') &&
             client->text.size() >= i * body.size();
    }));
  }
  client->send(get("/small"));
  EXPECT_TRUE(run_until([&] { return client->text.ends_with("0 /small "); }));
}

TEST_F(ServerTest, hundreds_of_clients_at_once_are_all_answered) {
  start();
  std::vector<std::shared_ptr<spillway::testing::Peer>> clients;
  for (int i = 0; i < 400; ++i) {
    clients.push_back(connect());
    clients.back()->send(post("/n", std::to_string(i)));
  }
  for (int i = 0; i < 400; ++i) {
    auto& client = clients[static_cast<std::size_t>(i)];
    ASSERT_TRUE(run_until([&] { return client->text.ends_with("2 /n " + std::to_string(i)); })) << i;
  }
}

}  // namespace
}  // namespace spillway::http
