#include "http/response_writer.h"

#include <gtest/gtest.h>

#include "http/loopback.h"

namespace spillway::http {
namespace {

using spillway::testing::Peer;

class Writing : public ::testing::Test {
 protected:
  void SetUp() override {
    asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor(loop_, {asio::ip::make_address("127.0.0.1"), 0});
    client_ = Peer::connect(loop_, acceptor.local_endpoint().port(), /*read=*/false);
    stream_ = std::make_shared<Stream>(acceptor.accept());
    stream_->prepare();
    writer_ = std::make_unique<ResponseWriter>(*stream_, timers_);
    begin();
  }
  void begin(Method method = Method::kGet, bool http_1_0 = false, milliseconds write_timeout = seconds(60)) {
    Request request;
    request.method = method;
    request.http_1_0 = http_1_0;
    writer_->begin(request, false, write_timeout);
  }
  template <class T>
  T run(Task<T> task) {
    return spillway::testing::run_task(loop_, std::move(task));
  }
  // All that was written, once the server's side has ended.
  std::string all() {
    stream_->close();
    client_->read();
    EXPECT_TRUE(spillway::testing::run_until(loop_, [&] { return client_->ended.has_value(); }));
    return client_->text;
  }
  // As all(), behind the header.
  std::string body() {
    const std::string text = all();
    const std::size_t end = text.find("\r\n\r\n");
    return end == std::string::npos ? "no header: " + text : text.substr(end + 4);
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  std::shared_ptr<Peer> client_;
  std::shared_ptr<Stream> stream_;
  std::unique_ptr<ResponseWriter> writer_;
};

TEST_F(Writing, chunks_are_framed_in_hexadecimal) {
  writer_->begin_stream(200, "text/event-stream");
  EXPECT_TRUE(writer_->streaming());
  EXPECT_TRUE(run(writer_->write_chunk("hello")));
  EXPECT_TRUE(run(writer_->write_chunk(std::string(255, 'x'))));
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_TRUE(writer_->reusable());
  EXPECT_EQ(writer_->body_bytes(), 260u);
  EXPECT_EQ(body(), "5\r\nhello\r\nff\r\n" + std::string(255, 'x') + "\r\n0\r\n\r\n");
}

TEST_F(Writing, an_empty_chunk_does_not_end_the_stream) {
  writer_->begin_stream(200, "text/plain");
  EXPECT_TRUE(run(writer_->write_chunk("")));
  writer_->poke("");
  EXPECT_TRUE(run(writer_->write_chunk("a")));
  writer_->poke("");
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_EQ(body(), "1\r\na\r\n0\r\n\r\n");
}

TEST_F(Writing, the_header_goes_out_with_the_first_chunk) {
  writer_->add_header("X-One", "1");
  writer_->add_rendered("X-Two: 2\r\n");
  writer_->begin_stream(200, "text/plain");
  EXPECT_TRUE(writer_->begun());
  EXPECT_EQ(client_->socket().available(), 0u);
  EXPECT_TRUE(run(writer_->write_chunk("a")));
  const std::string text = all();
  EXPECT_TRUE(text.starts_with("HTTP/1.1 200 OK\r\nDate: "));
  EXPECT_NE(
      text.find("\r\nContent-Type: text/plain\r\nX-One: 1\r\nX-Two: 2\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"),
      std::string::npos)
      << text;
}

TEST_F(Writing, a_stream_without_chunks_still_has_its_header) {
  writer_->begin_stream(200, "text/plain");
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_EQ(body(), "0\r\n\r\n");
}

TEST_F(Writing, a_field_that_would_break_the_header_is_left_out) {
  writer_->add_header("X-A", "1\r\nX-Injected: yes");
  writer_->add_header("X-B\r\nX-Injected", "yes");
  writer_->add_header("X-C", std::string_view("a\0b", 3));
  writer_->add_header("X-D", "fine");
  EXPECT_TRUE(run(writer_->send(200, "text/plain", "x")));
  const std::string text = all();
  EXPECT_EQ(text.find("Injected"), std::string::npos);
  EXPECT_EQ(text.find("X-C"), std::string::npos);
  EXPECT_NE(text.find("\r\nX-D: fine\r\n"), std::string::npos);
}

TEST_F(Writing, poke_sends_the_header_and_a_piece_at_once) {
  writer_->begin_stream(200, "text/event-stream");
  writer_->poke(": keep-alive\n\n");
  writer_->poke(": keep-alive\n\n");
  EXPECT_GT(client_->socket().available(), 0u);
  EXPECT_TRUE(run(writer_->write_chunk("data: x\n\n")));
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_EQ(body(), "e\r\n: keep-alive\n\n\r\ne\r\n: keep-alive\n\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n");
}

TEST_F(Writing, poke_for_http_1_0_has_no_framing) {
  begin(Method::kGet, /*http_1_0=*/true);
  writer_->begin_stream(200, "text/event-stream");
  writer_->poke(": a\n\n");
  EXPECT_TRUE(run(writer_->write_chunk("data: x\n\n")));
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_FALSE(writer_->reusable());
  EXPECT_EQ(body(), ": a\n\ndata: x\n\n");
}

TEST_F(Writing, what_the_socket_did_not_take_of_a_poke_goes_before_the_next_chunk) {
  writer_->begin_stream(200, "text/plain");
  const std::string large(6u << 20, 'p');
  writer_->poke(large);
  client_->read();
  EXPECT_TRUE(run(writer_->write_chunk("next")));
  EXPECT_TRUE(run(writer_->end_stream()));
  EXPECT_EQ(body(), "600000\r\n" + large + "\r\n4\r\nnext\r\n0\r\n\r\n");
}

TEST_F(Writing, a_client_that_is_gone_fails_the_write_and_nothing_more_is_written) {
  client_->reset();
  writer_->begin_stream(200, "text/plain");
  bool sent = true;
  for (int i = 0; i < 100 && sent; ++i) {
    sent = run(writer_->write_chunk("piece"));
    spillway::testing::settle(loop_);
  }
  EXPECT_FALSE(sent);
  EXPECT_TRUE(writer_->failed());
  EXPECT_FALSE(writer_->reusable());
  EXPECT_FALSE(run(writer_->write_chunk("more")));
  EXPECT_FALSE(run(writer_->end_stream()));
  writer_->poke("nothing");
}

TEST_F(Writing, a_client_that_takes_nothing_is_reset_after_the_write_timeout) {
  begin(Method::kGet, false, milliseconds(40));
  const TimePoint from = now();
  EXPECT_FALSE(run(writer_->send(200, "text/plain", std::string(16u << 20, 'x'))));
  EXPECT_GE(now() - from, milliseconds(40));
  EXPECT_TRUE(stream_->closed());
  client_->read();
  EXPECT_TRUE(spillway::testing::run_until(loop_, [&] { return client_->ended.has_value(); }));
  EXPECT_TRUE(client_->was_reset());
}

TEST_F(Writing, head_gets_the_length_and_no_body) {
  begin(Method::kHead);
  EXPECT_TRUE(run(writer_->send(200, "text/plain", "hello")));
  EXPECT_EQ(writer_->body_bytes(), 0u);
  const std::string text = all();
  EXPECT_NE(text.find("Content-Length: 5\r\n"), std::string::npos);
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
}

TEST_F(Writing, one_response_after_the_other_begins_afresh) {
  writer_->add_header("X-First", "1");
  EXPECT_TRUE(run(writer_->send(404, "text/plain", "a")));
  EXPECT_EQ(writer_->status(), 404);
  begin();
  EXPECT_FALSE(writer_->begun());
  EXPECT_FALSE(writer_->finished());
  EXPECT_TRUE(run(writer_->send(200, "", "b")));
  const std::string text = all();
  EXPECT_EQ(text.find("X-First"), text.rfind("X-First"));
  EXPECT_EQ(text.rfind("Content-Type"), text.find("Content-Type"));
}

}  // namespace
}  // namespace spillway::http
