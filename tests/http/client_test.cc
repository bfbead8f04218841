#include "http/client.h"

#include <gtest/gtest.h>

#include "http/client_fixture.h"

namespace spillway::http {
namespace {

using testing::ClientTest;

constexpr milliseconds kShort{40};

TEST_F(ClientTest, sends_a_request_and_reads_the_response) {
  const auto connection = open();
  EXPECT_EQ(send(connection, "GET /x HTTP/1.1\r\n\r\n"), ClientStatus::kOk);
  EXPECT_FALSE(connection->anything_received());
  ASSERT_TRUE(run_until([&] { return peer().text == "GET /x HTTP/1.1\r\n\r\n"; }));
  peer().send("HTTP/1.1 429 Slow down\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nwait");
  EXPECT_EQ(receive_all(connection), ClientStatus::kComplete);
  EXPECT_EQ(connection->status(), 429);
  EXPECT_EQ(connection->body(), "wait");
  Headers headers;
  connection->read_headers(headers);
  EXPECT_EQ(headers.get("retry-after"), "7");
  EXPECT_FALSE(connection->reused());
}

TEST_F(ClientTest, a_stream_is_told_piece_by_piece) {
  const auto connection = open();
  send(connection, "x");
  peer().send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  while (!connection->head_done()) ASSERT_EQ(run(connection->receive(soon())), ClientStatus::kOk);
  EXPECT_EQ(connection->body(), "");
  for (int i = 0; i < 100; ++i) {
    peer().send("5\r\npiece\r\n");
    while (connection->body().size() < 5) ASSERT_EQ(run(connection->receive(soon())), ClientStatus::kOk);
    EXPECT_EQ(connection->body(), "piece");
    connection->consume_body(5);
  }
  peer().send("0\r\n\r\n");
  EXPECT_EQ(run(connection->receive(soon())), ClientStatus::kComplete);
}

TEST_F(ClientTest, interim_responses_are_skipped) {
  const auto connection = open();
  send(connection, "x");
  peer().send(
      "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
      "1\r\n\r\nz");
  EXPECT_EQ(receive_all(connection), ClientStatus::kComplete);
  EXPECT_EQ(connection->status(), 200);
  EXPECT_EQ(connection->body(), "z");
}

TEST_F(ClientTest, an_interim_response_that_comes_alone_does_not_end_the_wait) {
  const auto connection = open();
  send(connection, "x");
  peer().send("HTTP/1.1 100 Continue\r\n\r\n");
  bool ended = false;
  asio::co_spawn(loop_, connection->receive(soon()), [&](std::exception_ptr, ClientStatus) { ended = true; });
  spillway::testing::settle(loop_);
  EXPECT_FALSE(ended);
  peer().send("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_TRUE(run_until([&] { return ended; }));
  EXPECT_EQ(connection->status(), 204);
}

TEST_F(ClientTest, a_body_may_end_with_the_connection) {
  const auto connection = open();
  send(connection, "x");
  peer().send("HTTP/1.1 200 OK\r\n\r\nall of it");
  ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
  peer().close();
  EXPECT_EQ(receive_all(connection), ClientStatus::kComplete);
  EXPECT_EQ(connection->body(), "all of it");
}

TEST_F(ClientTest, a_response_that_is_cut_is_closed_and_says_so) {
  for (const std::string text : {"", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf",
                                 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
    const auto connection = open();
    send(connection, "x");
    if (!text.empty()) peer().send(text);
    ASSERT_TRUE(run_until([&] { return peer().all_sent(); }));
    peer().close();
    EXPECT_EQ(receive_all(connection), ClientStatus::kClosed) << text;
    EXPECT_FALSE(connection->failure().empty());
    EXPECT_EQ(connection->anything_received(), !text.empty());
  }
}

TEST_F(ClientTest, a_reset_connection_is_closed) {
  const auto connection = open();
  send(connection, "x");
  peer().reset();
  EXPECT_EQ(receive_all(connection), ClientStatus::kClosed);
}

TEST_F(ClientTest, what_is_not_http_is_garbage) {
  for (const std::string text :
       {"SSH-2.0-x\r\n", "<html></html>\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
    const auto connection = open();
    send(connection, "x");
    peer().send(text);
    EXPECT_EQ(receive_all(connection), ClientStatus::kGarbage) << text;
    EXPECT_FALSE(connection->failure().empty());
  }
}

TEST_F(ClientTest, a_header_or_body_beyond_the_limits_is_garbage) {
  ParserLimits limits;
  limits.max_header = 500;
  limits.max_body = 100;
  pool_.set_limits(limits);
  for (const std::string& text : {"HTTP/1.1 200 OK\r\nA: " + std::string(600, 'a'),
                                  "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + std::string(101, 'b'),
                                  "HTTP/1.1 200 OK\r\n\r\n" + std::string(101, 'b')}) {
    const auto connection = open();
    send(connection, "x");
    peer().send(text);
    EXPECT_EQ(receive_all(connection), ClientStatus::kGarbage);
  }
}

TEST_F(ClientTest, an_upstream_that_says_nothing_times_out) {
  const auto connection = open();
  send(connection, "x");
  const TimePoint until = now() + kShort;
  EXPECT_EQ(receive_all(connection, until), ClientStatus::kTimeout);
  EXPECT_GE(now(), until);
  EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); }));
}

TEST_F(ClientTest, an_upstream_that_takes_nothing_times_out) {
  const auto connection = open();
  peer().stop_reading();
  const std::string large(16u << 20, 'x');
  EXPECT_EQ(send(connection, large, now() + kShort), ClientStatus::kTimeout);
}

TEST_F(ClientTest, abort_from_outside_ends_what_is_under_way) {
  const auto connection = open();
  send(connection, "x");
  std::optional<ClientStatus> status;
  asio::co_spawn(loop_, connection->receive(soon()), [&](std::exception_ptr, ClientStatus ended) { status = ended; });
  spillway::testing::settle(loop_);
  EXPECT_FALSE(status.has_value());
  connection->abort();
  connection->abort();
  spillway::testing::settle(loop_);
  EXPECT_EQ(status, ClientStatus::kAborted);
  EXPECT_EQ(run(connection->receive(soon())), ClientStatus::kAborted);
  EXPECT_TRUE(run_until([&] { return peer().ended.has_value(); }));
}

TEST_F(ClientTest, abort_while_it_connects_ends_the_attempt) {
  // 192.0.2.0/24 is for documentation and leads nowhere (RFC 5737).
  Origin nowhere = origin();
  nowhere.url.host = "192.0.2.1";
  const auto connection = pool_.make();
  std::optional<ClientStatus> status;
  asio::co_spawn(loop_, connection->open(nowhere, resolver_, soon()),
                 [&](std::exception_ptr, ClientStatus ended) { status = ended; });
  spillway::testing::settle(loop_);
  connection->abort();
  spillway::testing::settle(loop_);
  ASSERT_TRUE(status.has_value());
  EXPECT_TRUE(status == ClientStatus::kAborted || status == ClientStatus::kConnectFailed);
}

TEST_F(ClientTest, a_port_that_nobody_listens_on_fails_to_connect) {
  const std::uint16_t port = upstream_.port();
  upstream_.stop();
  const auto connection = pool_.make();
  const Origin closed = origin(port);
  EXPECT_EQ(run(connection->open(closed, resolver_, soon())), ClientStatus::kConnectFailed);
  EXPECT_FALSE(connection->failure().empty());
}

TEST_F(ClientTest, a_name_without_address_fails_to_resolve_and_is_named) {
  Origin unknown = origin();
  unknown.url.host = "does-not-exist.invalid";
  const auto connection = pool_.make();
  EXPECT_EQ(run(connection->open(unknown, resolver_, soon())), ClientStatus::kResolveFailed);
  EXPECT_NE(connection->failure().find("does-not-exist.invalid"), std::string::npos);
}

TEST_F(ClientTest, an_upstream_that_speaks_no_tls_fails_the_handshake) {
  Origin secure = origin();
  secure.url.tls = true;
  secure.tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  const auto connection = pool_.make();
  std::optional<ClientStatus> status;
  asio::co_spawn(loop_, connection->open(secure, resolver_, soon()),
                 [&](std::exception_ptr, ClientStatus ended) { status = ended; });
  ASSERT_TRUE(run_until([&] { return !upstream_.peers.empty() && !peer().text.empty(); }));
  peer().send("HTTP/1.1 400 Bad Request\r\n\r\n");
  ASSERT_TRUE(run_until([&] { return status.has_value(); }));
  EXPECT_EQ(*status, ClientStatus::kTlsFailed);
}

TEST_F(ClientTest, a_handshake_that_never_ends_times_out) {
  Origin secure = origin();
  secure.url.tls = true;
  secure.tls = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  const auto connection = pool_.make();
  EXPECT_EQ(run(connection->open(secure, resolver_, now() + kShort)), ClientStatus::kTimeout);
}

// --- while a body is sent ---

const std::string kLargeBody(32u << 20, 'b');  // more than both ends' buffers take

TEST_F(ClientTest, an_early_refusal_ends_the_sending_and_is_read) {
  for (const std::string refusal : {"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig",
                                    "HTTP/1.1 429 Slow\r\nContent-Length: 4\r\n\r\nwait"}) {
    const auto connection = open();
    peer().stop_reading();
    peer().send(refusal);
    EXPECT_EQ(send(connection, kLargeBody), ClientStatus::kOk);
    EXPECT_TRUE(connection->head_done());
    EXPECT_EQ(receive_all(connection), ClientStatus::kComplete) << connection->failure();
    EXPECT_EQ(connection->body(), refusal.substr(refusal.rfind('\n') + 1));
    // The rest of the request never went, so nothing else can.
    pool_.give_back(connection);
    EXPECT_EQ(pool_.idle_count(), 0u);
  }
}

TEST_F(ClientTest, an_early_refusal_in_two_pieces_is_read_whole) {
  const auto connection = open();
  peer().stop_reading();
  peer().send("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(send(connection, kLargeBody), ClientStatus::kOk);
  peer().send("big");
  EXPECT_EQ(receive_all(connection), ClientStatus::kComplete) << connection->failure();
  EXPECT_EQ(connection->body(), "big");
}

TEST_F(ClientTest, an_interim_or_good_answer_does_not_end_the_sending) {
  for (const std::string early : {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"}) {
    const auto connection = open();
    peer().stop_reading();
    peer().send(early);
    std::optional<ClientStatus> sent;
    std::array<asio::const_buffer, 1> buffers{asio::buffer(kLargeBody)};
    asio::co_spawn(loop_, connection->send(buffers, soon()),
                   [&](std::exception_ptr, ClientStatus status) { sent = status; });
    ASSERT_TRUE(run_until([&] { return connection->anything_received(); }));
    spillway::testing::settle(loop_);
    EXPECT_FALSE(sent.has_value());
    peer().read();
    ASSERT_TRUE(run_until([&] { return sent.has_value() && peer().text.size() == kLargeBody.size(); }));
    EXPECT_EQ(*sent, ClientStatus::kOk);
    if (early.find("200") == std::string::npos) peer().send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_EQ(receive_all(connection), ClientStatus::kComplete) << connection->failure();
    EXPECT_EQ(connection->body(), "ok");
    EXPECT_EQ(connection->status(), 200);
  }
}

TEST_F(ClientTest, an_upstream_that_breaks_off_while_it_is_sent_to_is_closed) {
  const auto connection = open();
  peer().stop_reading();
  std::optional<ClientStatus> sent;
  std::array<asio::const_buffer, 1> buffers{asio::buffer(kLargeBody)};
  asio::co_spawn(loop_, connection->send(buffers, soon()),
                 [&](std::exception_ptr, ClientStatus status) { sent = status; });
  spillway::testing::settle(loop_);
  peer().shutdown_send();
  ASSERT_TRUE(run_until([&] { return sent.has_value(); }));
  EXPECT_EQ(receive_all(connection), ClientStatus::kClosed);
  EXPECT_FALSE(connection->anything_received());
}

}  // namespace
}  // namespace spillway::http
