// A Server on a loopback port whose answers follow the request's path.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "http/loopback.h"
#include "http/server.h"

namespace spillway::http::testing {

// /wait: answers after release(). /stream: three chunks. /endless: chunks until the client is gone.
// /spoil: a chunk, then spoils. /big: 8 MiB at once. Anything else: method, path and body.
class ScriptedHandler : public Handler {
 public:
  Task<> handle(ServerConnection& connection, const Request& request) override {
    ResponseWriter& response = connection.response();
    handled.emplace_back(request.target);
    // How a client that leaves is told: once, from within the loop.
    connection.on_client_gone([this] {
      ++gone;
      if (waiting_) release_.notify();
    });
    if (request.path == "/wait") {
      waiting_ = true;
      co_await release_.wait();
      waiting_ = false;
      co_await response.send(200, "text/plain", "released");
    } else if (request.path == "/stream") {
      response.add_header("X-Test", "1");
      response.begin_stream(200, "text/event-stream");
      co_await response.write_chunk("one,");
      co_await response.write_chunk("two,");
      co_await response.write_chunk("three");
      co_await response.end_stream();
    } else if (request.path == "/endless") {
      response.begin_stream(200, "text/plain");
      const std::string piece(65'536, 'e');
      while (co_await response.write_chunk(piece)) written += piece.size();
      ended_endless = true;
    } else if (request.path == "/spoil") {
      response.begin_stream(200, "text/plain");
      co_await response.write_chunk("begun");
      response.spoil();
    } else if (request.path == "/big") {
      const std::string body(8u << 20, 'b');
      big_sent = co_await response.send(200, "text/plain", body);
      big_ended = true;
    } else {
      std::string body = std::to_string(static_cast<int>(request.method)) + " " + std::string(request.path) + " ";
      body += request.body;
      co_await response.send(200, "text/plain", body);
    }
  }

  std::string render_failure(int status, std::string_view what) override {
    return "{\"status\":" + std::to_string(status) + ",\"what\":\"" + std::string(what) + "\"}";
  }

  void release() { release_.notify(); }
  [[nodiscard]] bool waiting() const { return waiting_; }

  std::vector<std::string> handled;  // targets, in order
  int gone = 0;
  std::size_t written = 0;
  bool ended_endless = false;
  bool big_sent = false;
  bool big_ended = false;

 private:
  Event release_;
  bool waiting_ = false;
};

class ServerTest : public ::testing::Test {
 protected:
  void start(ServerLimits limits = {}) {
    server_ =
        std::make_unique<Server>(loop_, timers_, handler_, std::make_shared<const ServerLimits>(limits), client_load_);
    const auto port = server_->listen({asio::ip::make_address("127.0.0.1"), 0});
    ASSERT_TRUE(port.ok()) << port.error().message;
    port_ = *port;
    server_->start();
  }
  void TearDown() override {
    if (!server_) return;
    server_->close();
    EXPECT_TRUE(run_until([&] { return server_->open_connections() == 0; }));
    EXPECT_EQ(client_load_->connections.load(), 0u);
  }

  template <class Condition>
  bool run_until(Condition condition) {
    return spillway::testing::run_until(loop_, condition);
  }
  std::shared_ptr<spillway::testing::Peer> connect(bool read = true) {
    return spillway::testing::Peer::connect(loop_, port_, read);
  }
  // Sends `bytes` on a new connection and returns all that comes until the other side ends it.
  std::string exchange(const std::string& bytes) {
    const auto client = connect();
    client->send(bytes);
    EXPECT_TRUE(run_until([&] { return client->ended.has_value(); }));
    return client->text;
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  ScriptedHandler handler_;
  std::shared_ptr<http::ServerLoad> client_load_ = std::make_shared<http::ServerLoad>();
  std::unique_ptr<Server> server_;
  std::uint16_t port_ = 0;
};

inline std::string get(const std::string& path, const std::string& fields = "") {
  return "GET " + path + " HTTP/1.1\r\nHost: x\r\n" + fields + "\r\n";
}

inline std::string post(const std::string& path, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

inline std::size_t count(std::string_view text, std::string_view what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string_view::npos; at = text.find(what, at + what.size())) ++found;
  return found;
}

}  // namespace spillway::http::testing
