// A client of http/ against upstreams that the test plays itself.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>

#include "http/client.h"
#include "http/loopback.h"

namespace spillway::http::testing {

class ClientTest : public ::testing::Test {
 protected:
  using Connection = std::shared_ptr<ClientConnection>;

  [[nodiscard]] Origin origin(std::uint16_t port) const {
    Origin made;
    made.key = "test " + std::to_string(port);
    made.url.host = "127.0.0.1";
    made.url.port = port;
    return made;
  }
  [[nodiscard]] Origin origin() const { return origin(upstream_.port()); }

  static TimePoint soon() { return now() + seconds(60); }

  // An open connection, with the upstream's end as the last of its peers.
  Connection open() {
    const std::size_t before = upstream_.peers.size();
    const Connection connection = pool_.make();
    const ClientStatus status = run(connection->open(origin_ = origin(), resolver_, soon()));
    EXPECT_EQ(status, ClientStatus::kOk) << connection->failure();
    EXPECT_TRUE(run_until([&] { return upstream_.peers.size() == before + 1; }));
    return connection;
  }
  ClientStatus send(const Connection& connection, std::string_view text, TimePoint until = soon()) {
    std::array<asio::const_buffer, 1> buffers{asio::const_buffer(text.data(), text.size())};
    return run(connection->send(buffers, until));
  }
  // Reads until the response is whole or something else happened.
  ClientStatus receive_all(const Connection& connection, TimePoint until = soon()) {
    ClientStatus status = ClientStatus::kOk;
    while (status == ClientStatus::kOk) status = run(connection->receive(until));
    return status;
  }
  // A request and a whole response.
  void serve(const Connection& connection,
             const std::string& response = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok") {
    ASSERT_EQ(send(connection, "GET / HTTP/1.1\r\n\r\n"), ClientStatus::kOk);
    peer().send(response);
    ASSERT_EQ(receive_all(connection), ClientStatus::kComplete) << connection->failure();
  }
  spillway::testing::Peer& peer() { return *upstream_.peers.back(); }

  template <class T>
  T run(Task<T> task) {
    return spillway::testing::run_task(loop_, std::move(task));
  }
  template <class Condition>
  bool run_until(Condition condition) {
    return spillway::testing::run_until(loop_, condition);
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  spillway::testing::Upstream upstream_{loop_};
  Resolver resolver_{loop_, timers_};
  ClientPool pool_{loop_, timers_, ParserLimits{}};
  Origin origin_;
};

}  // namespace spillway::http::testing
