#include "http/server.h"

#include <gtest/gtest.h>

#include "http/server_fixture.h"

namespace spillway::http {
namespace {

using testing::count;
using testing::get;
using testing::post;
using testing::ServerTest;

TEST_F(ServerTest, answers_a_request_and_keeps_the_connection) {
  start();
  const auto client = connect();
  for (int i = 1; i <= 3; ++i) {
    client->send(post("/echo", "body " + std::to_string(i)));
    ASSERT_TRUE(run_until([&] { return client->text.ends_with("2 /echo body " + std::to_string(i)); })) << client->text;
  }
  EXPECT_EQ(count(client->text, "HTTP/1.1 200 OK\r\nDate: "), 3u);
  EXPECT_EQ(count(client->text, "Connection:"), 0u);
  EXPECT_FALSE(client->ended.has_value());
}

TEST_F(ServerTest, pipelined_requests_are_answered_in_order) {
  start();
  std::string all;
  for (int i = 0; i < 50; ++i)
    all += post("/p" + std::to_string(i), std::string(static_cast<std::size_t>(i) * 97, 'x'));
  const std::string text = exchange(all + get("/last", "Connection: close\r\n"));
  ASSERT_EQ(handler_.handled.size(), 51u);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(handler_.handled[static_cast<std::size_t>(i)], "/p" + std::to_string(i));
  EXPECT_EQ(count(text, "HTTP/1.1 200 OK"), 51u);
  EXPECT_LT(text.find("2 /p48 "), text.find("2 /p49 "));
  EXPECT_NE(text.find("0 /last "), std::string::npos);
}

TEST_F(ServerTest, a_request_split_at_any_byte_is_answered) {
  start();
  const std::string text = post("/echo", "hello");
  const auto client = connect();
  for (std::size_t at = 1; at < text.size(); ++at) {
    client->send(text.substr(0, at));
    spillway::testing::settle(loop_);
    client->send(text.substr(at));
    ASSERT_TRUE(run_until([&] { return count(client->text, "2 /echo hello") == at; })) << at;
  }
}

TEST_F(ServerTest, a_request_that_comes_while_another_is_handled_is_answered_after_it) {
  start();
  const auto client = connect();
  client->send(get("/wait"));
  ASSERT_TRUE(run_until([&] { return handler_.waiting(); }));
  client->send(get("/next") + post("/after", "that").substr(0, 20));
  ASSERT_TRUE(run_until([&] { return client->all_sent(); }));
  spillway::testing::settle(loop_);
  EXPECT_EQ(handler_.handled.size(), 1u);
  handler_.release();
  ASSERT_TRUE(run_until([&] { return client->text.find("0 /next ") != std::string::npos; }));
  client->send(post("/after", "that").substr(20));
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("2 /after that"); })) << client->text;
  EXPECT_LT(client->text.find("released"), client->text.find("0 /next "));
}

TEST_F(ServerTest, a_stream_is_sent_in_chunks_and_the_connection_goes_on) {
  start();
  const auto client = connect();
  client->send(get("/stream"));
  ASSERT_TRUE(run_until([&] {
    return client->text.ends_with("\r\n4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n");
  })) << client->text;
  EXPECT_NE(client->text.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_NE(client->text.find("X-Test: 1\r\n"), std::string::npos);
  EXPECT_EQ(client->text.find("Content-Length"), std::string::npos);
  client->send(get("/more", "Connection: close\r\n"));
  ASSERT_TRUE(run_until([&] { return client->closed_in_order(); }));
  EXPECT_TRUE(client->text.ends_with("0 /more "));
}

TEST_F(ServerTest, connection_close_is_honoured_and_told) {
  start();
  const std::string text = exchange(get("/a", "Connection: close\r\n"));
  EXPECT_NE(text.find("Connection: close\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("0 /a "));
}

TEST_F(ServerTest, head_gets_the_header_of_a_get_and_no_body) {
  start();
  const auto client = connect();
  client->send("HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("\r\n\r\n"); }));
  EXPECT_NE(client->text.find("Content-Length: 7\r\n"), std::string::npos) << client->text;
  client->send(get("/b", "Connection: close\r\n"));
  ASSERT_TRUE(run_until([&] { return client->closed_in_order(); }));
  EXPECT_TRUE(client->text.ends_with("\r\n\r\n0 /b "));
}

TEST_F(ServerTest, http_1_0_gets_its_answer_and_a_close) {
  start();
  const std::string text = exchange("GET /old HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(text.ends_with("0 /old "));
  EXPECT_NE(text.find("Connection: close\r\n"), std::string::npos);
}

TEST_F(ServerTest, http_1_0_with_keep_alive_is_kept) {
  start();
  const auto client = connect();
  for (std::size_t i = 1; i <= 2; ++i) {
    client->send("GET /old HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    ASSERT_TRUE(run_until([&] { return count(client->text, "0 /old ") == i; }));
  }
  EXPECT_EQ(count(client->text, "Connection: keep-alive\r\n"), 2u);
}

TEST_F(ServerTest, a_stream_for_http_1_0_ends_with_the_connection_and_has_no_chunks) {
  start();
  const std::string text = exchange("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_TRUE(text.ends_with("\r\n\r\none,two,three")) << text;
  EXPECT_EQ(text.find("Transfer-Encoding"), std::string::npos);
}

TEST_F(ServerTest, a_client_that_waits_for_100_gets_it_before_its_body) {
  start();
  const auto client = connect();
  client->send("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return client->text == "HTTP/1.1 100 Continue\r\n\r\n"; })) << client->text;
  client->send("body");
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("2 /e body"); }));
  EXPECT_EQ(count(client->text, "100 Continue"), 1u);
}

TEST_F(ServerTest, a_body_that_came_with_its_header_needs_no_100) {
  start();
  const auto client = connect();
  client->send("POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\nbody");
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("2 /e body"); }));
  EXPECT_EQ(count(client->text, "100 Continue"), 0u);
}

TEST_F(ServerTest, a_hostile_request_gets_one_error_and_a_close_and_is_not_handled) {
  start();
  for (const std::string bytes : {"GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\nHost: x\n\n", "nonsense\r\n\r\n",
                                  "GET / HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n"}) {
    const std::string text = exchange(bytes + get("/smuggled"));
    EXPECT_TRUE(text.starts_with("HTTP/1.1 400 Bad Request\r\n")) << text;
    EXPECT_NE(text.find("Content-Type: application/json\r\n"), std::string::npos);
    EXPECT_NE(text.find("Connection: close\r\n"), std::string::npos);
    EXPECT_EQ(count(text, "HTTP/1.1"), 1u);
  }
  EXPECT_TRUE(handler_.handled.empty());
}

TEST_F(ServerTest, good_requests_before_a_hostile_one_are_answered) {
  start();
  const std::string text = exchange(get("/one") + get("/two") + "GET / HTTP/1.1\r\n\r\n");
  EXPECT_EQ(count(text, "HTTP/1.1 200 OK"), 2u);
  EXPECT_EQ(count(text, "HTTP/1.1 400"), 1u);
}

TEST_F(ServerTest, a_client_that_leaves_is_told_to_the_handler_at_once) {
  start();
  for (const bool reset : {false, true}) {
    const int before = handler_.gone;
    const auto client = connect();
    client->send(get("/wait"));
    ASSERT_TRUE(run_until([&] { return handler_.waiting(); }));
    if (reset) {
      client->reset();
    } else {
      client->close();
    }
    spillway::testing::settle(loop_);  // no timer, no other event is needed
    EXPECT_EQ(handler_.gone, before + 1) << reset;
    ASSERT_TRUE(run_until([&] { return server_->open_connections() == 0; }));
  }
}

TEST_F(ServerTest, a_client_that_leaves_behind_stray_bytes_is_told_to_the_handler_at_once) {
  start();
  const auto client = connect();
  client->send(post("/wait", "x") + "\r\n");  // as curl of old did
  ASSERT_TRUE(run_until([&] { return handler_.waiting(); }));
  client->send("\r\n");
  spillway::testing::settle(loop_);
  EXPECT_EQ(handler_.gone, 0);
  client->close();
  ASSERT_TRUE(run_until([&] { return handler_.gone == 1; }));
}

TEST_F(ServerTest, a_client_that_leaves_between_requests_is_nobodys_loss) {
  start();
  const auto client = connect();
  client->send(get("/a"));
  ASSERT_TRUE(run_until([&] { return client->text.ends_with("0 /a "); }));
  client->close();
  EXPECT_TRUE(run_until([&] { return server_->open_connections() == 0; }));
  EXPECT_EQ(handler_.gone, 0);
}

TEST_F(ServerTest, a_spoiled_response_ends_in_a_reset) {
  start();
  const auto client = connect();
  client->send(get("/spoil"));
  ASSERT_TRUE(run_until([&] { return client->ended.has_value(); }));
  EXPECT_TRUE(client->was_reset()) << client->ended->message();
  EXPECT_EQ(count(client->text, "\r\n0\r\n\r\n"), 0u);
}

TEST_F(ServerTest, drain_closes_idle_connections_and_lets_what_is_handled_end) {
  start();
  const auto idle = connect();
  idle->send(get("/a"));
  const auto fresh = connect();
  const auto busy = connect();
  busy->send(get("/wait"));
  ASSERT_TRUE(run_until(
      [&] { return handler_.waiting() && idle->text.ends_with("0 /a ") && server_->open_connections() == 3; }));
  spillway::testing::settle(loop_);
  server_->drain();
  ASSERT_TRUE(run_until([&] { return idle->ended && fresh->ended; }));
  EXPECT_TRUE(idle->closed_in_order());
  EXPECT_TRUE(fresh->closed_in_order());
  EXPECT_FALSE(busy->ended.has_value());
  handler_.release();
  ASSERT_TRUE(run_until([&] { return busy->closed_in_order(); }));
  EXPECT_TRUE(busy->text.ends_with("released"));
  EXPECT_THROW(connect(), boost::system::system_error);
}

TEST_F(ServerTest, close_tells_handlers_and_ends_every_connection) {
  start();
  const auto busy = connect();
  busy->send(get("/wait"));
  ASSERT_TRUE(run_until([&] { return handler_.waiting(); }));
  server_->close();
  EXPECT_TRUE(run_until([&] { return server_->open_connections() == 0 && busy->ended; }));
  EXPECT_EQ(handler_.gone, 1);
}

TEST_F(ServerTest, the_port_that_was_picked_is_told_and_a_taken_one_is_named) {
  start();
  EXPECT_NE(port_, 0);
  Server second(loop_, timers_, handler_, std::make_shared<const ServerLimits>(), client_load_);
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> foreign(loop_);
  foreign.open(asio::ip::tcp::v4());
  foreign.bind({asio::ip::make_address("127.0.0.1"), 0});
  foreign.listen();
  const auto taken = second.listen({asio::ip::make_address("127.0.0.1"), foreign.local_endpoint().port()});
  ASSERT_FALSE(taken.ok());
  EXPECT_EQ(taken.error().code, ErrorCode::kAlreadyExists);
  EXPECT_NE(taken.error().message.find("127.0.0.1:" + std::to_string(foreign.local_endpoint().port())),
            std::string::npos);
  EXPECT_FALSE(taken.error().hint.empty());
}

TEST_F(ServerTest, several_servers_may_listen_on_one_port) {
  start();
  Server second(loop_, timers_, handler_, std::make_shared<const ServerLimits>(), client_load_);
  const auto port = second.listen({asio::ip::make_address("127.0.0.1"), port_});
  EXPECT_TRUE(port.ok());
}

}  // namespace
}  // namespace spillway::http
