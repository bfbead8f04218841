#include "http/address_race.h"

#include <boost/asio/error.hpp>

namespace spillway::http {

AddressRace::AddressRace(asio::io_context& loop, LoopTimers& timers, std::vector<asio::ip::tcp::endpoint> addresses)
    : loop_(loop), addresses_(std::move(addresses)), next_timer_(timers, [this] { start_next(); }) {
  sockets_.reserve(addresses_.size());
}

Task<ErrorStatus> AddressRace::run() {
  const auto self = shared_from_this();
  status_ = asio::error::host_not_found;
  start_next();
  if (!over_) co_await ended_.wait();
  co_return status_;
}

// No recursion: what follows comes through the loop.
// NOLINTBEGIN(misc-no-recursion)
void AddressRace::start_next() {
  if (over_) return;
  if (sockets_.size() == addresses_.size()) {
    if (failed_ == addresses_.size()) end(status_);
    return;
  }
  const std::size_t index = sockets_.size();
  sockets_.emplace_back(Socket(loop_));
  if (index + 1 < addresses_.size()) next_timer_.arm(now() + kNextAfter);
  sockets_[index]->async_connect(
      addresses_[index], [self = shared_from_this(), index](const ErrorStatus& ec) { self->on_connect(index, ec); });
}

void AddressRace::on_connect(std::size_t index, const ErrorStatus& ec) {
  if (over_) return;
  if (!ec) {
    winner_ = std::move(sockets_[index]);
    sockets_[index].reset();
    winner_index_ = index;
    return end(ec);
  }
  ++failed_;
  status_ = ec;
  next_timer_.disarm();
  start_next();
}

// NOLINTEND(misc-no-recursion)

void AddressRace::stop() { end(asio::error::operation_aborted); }

void AddressRace::end(const ErrorStatus& status) {
  if (over_) return;
  over_ = true;
  status_ = status;
  next_timer_.disarm();
  for (std::optional<Socket>& socket : sockets_) {
    ErrorStatus ignored;
    if (socket) socket->close(ignored);
  }
  ended_.notify();
}

}  // namespace spillway::http
