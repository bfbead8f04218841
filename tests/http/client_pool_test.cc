#include <gtest/gtest.h>

#include "http/client_fixture.h"

namespace spillway::http {
namespace {

using testing::ClientTest;

TEST_F(ClientTest, a_connection_whose_response_is_whole_is_used_again) {
  auto connection = open();
  serve(connection);
  const ClientConnection* const first = connection.get();
  pool_.give_back(std::move(connection));
  EXPECT_EQ(pool_.idle_count(), 1u);
  connection = pool_.take(origin());
  ASSERT_EQ(connection.get(), first);
  EXPECT_TRUE(connection->reused());
  EXPECT_EQ(pool_.idle_count(), 0u);
  for (int i = 0; i < 5; ++i) {
    serve(connection);
    EXPECT_EQ(connection->body(), "ok");
    pool_.give_back(std::move(connection));
    connection = pool_.take(origin());
    ASSERT_TRUE(connection);
  }
  EXPECT_EQ(upstream_.peers.size(), 1u);
}

TEST_F(ClientTest, connections_of_another_origin_are_not_taken) {
  auto connection = open();
  serve(connection);
  pool_.give_back(std::move(connection));
  Origin other = origin();
  other.key = "other";
  EXPECT_EQ(pool_.take(other), nullptr);
  EXPECT_EQ(pool_.idle_count(), 1u);
}

TEST_F(ClientTest, the_connection_used_last_is_taken_first) {
  auto one = open();
  serve(one);
  auto two = open();
  serve(two);
  const ClientConnection* const last = two.get();
  pool_.give_back(std::move(one));
  pool_.give_back(std::move(two));
  EXPECT_EQ(pool_.idle_count(), 2u);
  EXPECT_EQ(pool_.take(origin()).get(), last);
}

TEST_F(ClientTest, a_connection_that_cannot_serve_again_is_closed) {
  const std::string responses[] = {
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
      "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok and more",
  };
  for (const std::string& response : responses) {
    auto connection = open();
    serve(connection, response);
    pool_.give_back(std::move(connection));
    EXPECT_EQ(pool_.idle_count(), 0u) << response;
    EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); })) << response;
  }
}

TEST_F(ClientTest, a_response_that_is_not_whole_is_not_kept) {
  auto connection = open();
  send(connection, "x");
  peer().send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
  while (!connection->head_done()) ASSERT_EQ(run(connection->receive(soon())), ClientStatus::kOk);
  pool_.give_back(std::move(connection));
  EXPECT_EQ(pool_.idle_count(), 0u);
  EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); }));
}

TEST_F(ClientTest, a_connection_that_was_never_opened_may_be_given_back) {
  pool_.give_back(pool_.make());
  EXPECT_EQ(pool_.idle_count(), 0u);
}

TEST_F(ClientTest, an_idle_connection_that_the_upstream_closes_is_forgotten) {
  for (const bool reset : {false, true}) {
    auto connection = open();
    serve(connection);
    pool_.give_back(std::move(connection));
    EXPECT_EQ(pool_.idle_count(), 1u);
    if (reset) {
      peer().reset();
    } else {
      peer().close();
    }
    EXPECT_TRUE(run_until([&] { return pool_.idle_count() == 0; }));
    EXPECT_EQ(pool_.take(origin()), nullptr);
  }
}

TEST_F(ClientTest, an_idle_connection_that_the_upstream_speaks_on_is_not_used) {
  auto connection = open();
  serve(connection);
  pool_.give_back(std::move(connection));
  peer().send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
  spillway::testing::settle(loop_);
  EXPECT_EQ(pool_.take(origin()), nullptr);
}

TEST_F(ClientTest, a_stale_connection_ends_as_closed_with_nothing_received) {
  auto connection = open();
  serve(connection);
  pool_.give_back(std::move(connection));
  connection = pool_.take(origin());
  ASSERT_TRUE(connection);
  peer().close();
  send(connection, "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(receive_all(connection), ClientStatus::kClosed);
  EXPECT_FALSE(connection->anything_received());
  EXPECT_TRUE(connection->reused());
}

TEST_F(ClientTest, a_response_with_an_end_right_behind_it_is_read_whole) {
  auto connection = open();
  send(connection, "x");
  peer().send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
  peer().close();
  EXPECT_EQ(receive_all(connection), ClientStatus::kComplete);
  pool_.give_back(std::move(connection));
  EXPECT_TRUE(run_until([&] { return pool_.idle_count() == 0; }));
}

TEST_F(ClientTest, clear_closes_all) {
  auto one = open();
  serve(one);
  pool_.give_back(std::move(one));
  EXPECT_EQ(pool_.idle_count(), 1u);
  pool_.clear();
  EXPECT_EQ(pool_.idle_count(), 0u);
  EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); }));
}

TEST_F(ClientTest, a_connection_that_is_old_enough_is_not_kept) {
  ClientPool pool(loop_, timers_, ParserLimits{}, Duration(0));
  auto connection = open();
  serve(connection);
  pool.give_back(std::move(connection));
  EXPECT_EQ(pool.idle_count(), 0u);
  EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); }));
}

}  // namespace
}  // namespace spillway::http
