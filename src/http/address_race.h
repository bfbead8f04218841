// Connecting to whichever of a name's addresses answers first.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <optional>
#include <vector>

#include "base/event.h"
#include "base/loop.h"
#include "base/loop_timers.h"
#include "http/stream.h"

namespace spillway::http {

// "Happy Eyeballs" (RFC 8305, 5): the addresses are tried in their order, each kNextAfter after the one before or as
// soon as that has failed; the first that connects wins, the others are closed. One thread; held by shared_ptr, since
// what is under way keeps it alive.
class AddressRace : public std::enable_shared_from_this<AddressRace> {
 public:
  static constexpr milliseconds kNextAfter{250};  // RFC 8305, 8: "Connection Attempt Delay"

  AddressRace(asio::io_context& loop, LoopTimers& timers, std::vector<asio::ip::tcp::endpoint> addresses);

  // Ends when one is connected, when all have failed (with the last one's reason), or with operation_aborted after
  // stop(). Called once.
  Task<ErrorStatus> run();

  // Closes everything; run() goes on inside the call.
  void stop();

  // After success: the connection, and where it leads.
  [[nodiscard]] Socket take_socket() { return std::move(*winner_); }
  [[nodiscard]] const asio::ip::tcp::endpoint& address() const { return addresses_[winner_index_]; }

 private:
  void start_next();
  void on_connect(std::size_t index, const ErrorStatus& ec);
  void end(const ErrorStatus& status);

  asio::io_context& loop_;
  std::vector<asio::ip::tcp::endpoint> addresses_;
  std::vector<std::optional<Socket>> sockets_;  // of those that were started
  std::size_t failed_ = 0;
  std::optional<Socket> winner_;
  std::size_t winner_index_ = 0;
  LoopTimers::Entry next_timer_;
  Event ended_;
  ErrorStatus status_;
  bool over_ = false;
};

}  // namespace spillway::http
