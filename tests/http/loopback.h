// Real sockets on the loopback interface for tests: one loop for both ends, no threads, no sleeps.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/loop_timers.h"
#include "base/time.h"

namespace spillway::testing {

using TcpSocket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

constexpr seconds kPatience{30};

// Does `condition` come to hold? It is asked after each handler of the loop.
template <class Condition>
bool run_until(asio::io_context& loop, Condition condition, Duration patience = kPatience) {
  const TimePoint until = now() + patience;
  while (!condition()) {
    if (now() >= until) return false;
    loop.restart();
    loop.run_one_for(milliseconds(10));
  }
  return true;
}

// Everything that can be done without waiting for anybody else.
inline void settle(asio::io_context& loop) {
  loop.restart();
  while (loop.poll() > 0) loop.restart();
}

// The result of a Task that runs in `loop`; fails the test when it takes far too long.
template <class T>
T run_task(asio::io_context& loop, Task<T> task) {
  std::optional<T> result;
  asio::co_spawn(loop, std::move(task), [&result](std::exception_ptr failure, T value) {
    if (failure) std::rethrow_exception(failure);
    result = std::move(value);
  });
  if (!run_until(loop, [&] { return result.has_value(); })) throw std::runtime_error("a Task did not end");
  return std::move(*result);
}

// One end of a connection, driven by a test. Reads all the time unless it is told not to.
class Peer : public std::enable_shared_from_this<Peer> {
 public:
  explicit Peer(TcpSocket socket) : socket_(std::move(socket)) {}

  static std::shared_ptr<Peer> connect(asio::io_context& loop, std::uint16_t port, bool read = true) {
    TcpSocket socket(loop);
    socket.connect({asio::ip::make_address("127.0.0.1"), port});
    auto peer = std::make_shared<Peer>(std::move(socket));
    if (read) peer->read();
    return peer;
  }

  void send(std::string bytes) {
    outgoing_.push_back(std::move(bytes));
    if (outgoing_.size() == 1) write();
  }
  void read() {
    reading_ = true;
    if (std::exchange(under_way_, true)) return;
    socket_.async_read_some(asio::buffer(block_),
                            [self = shared_from_this()](const ErrorStatus& ec, std::size_t bytes) {
                              self->under_way_ = false;
                              self->text.append(self->block_.data(), bytes);
                              if (ec) {
                                self->ended = ec;
                              } else if (self->reading_) {
                                self->read();
                              }
                            });
  }
  void stop_reading() { reading_ = false; }
  void shutdown_send() { socket_.shutdown(TcpSocket::shutdown_send); }
  void close() {
    ErrorStatus ignored;
    socket_.close(ignored);
  }
  void reset() {
    socket_.set_option(asio::socket_base::linger(true, 0));
    close();
  }
  [[nodiscard]] bool closed_in_order() const { return ended && *ended == asio::error::eof; }
  [[nodiscard]] bool was_reset() const { return ended && *ended == asio::error::connection_reset; }
  // Everything handed to send() lies in the kernel.
  [[nodiscard]] bool all_sent() const { return outgoing_.empty(); }
  [[nodiscard]] TcpSocket& socket() { return socket_; }

  std::string text;                  // all that came
  std::optional<ErrorStatus> ended;  // set once the other side has ended, or the connection broke

 private:
  void write() {
    asio::async_write(socket_, asio::buffer(outgoing_.front()),
                      [self = shared_from_this()](const ErrorStatus& ec, std::size_t) {
                        self->outgoing_.pop_front();
                        if (ec) self->outgoing_.clear();
                        if (!self->outgoing_.empty()) self->write();
                      });
  }

  TcpSocket socket_;
  std::array<char, 65536> block_{};
  std::deque<std::string> outgoing_;
  bool reading_ = false;
  bool under_way_ = false;
};

// Accepts connections and leaves them to the test.
class Upstream {
 public:
  explicit Upstream(asio::io_context& loop) : acceptor_(loop, {asio::ip::make_address("127.0.0.1"), 0}) { accept(); }

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  void stop() { acceptor_.close(); }

  std::vector<std::shared_ptr<Peer>> peers;  // in the order in which they came

 private:
  void accept() {
    acceptor_.async_accept([this](const ErrorStatus& ec, TcpSocket socket) {
      if (ec) return;
      peers.push_back(std::make_shared<Peer>(std::move(socket)));
      peers.back()->read();
      accept();
    });
  }

  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
};

}  // namespace spillway::testing
