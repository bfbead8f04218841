#include "http/stream.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <boost/asio/write.hpp>

namespace spillway::http {

Stream::Stream(Socket socket) : socket_(std::move(socket)) {}

void Stream::prepare() {
  ErrorStatus ignored;
  socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  socket().non_blocking(true, ignored);
}

Task<ErrorStatus> Stream::connect(asio::ip::tcp::endpoint endpoint) {
  const auto [ec] = co_await socket().async_connect(endpoint, kAwait);
  co_return ec;
}

Task<ErrorStatus> Stream::start_tls(std::shared_ptr<asio::ssl::context> context, std::string host) {
  context_ = std::move(context);
  tls_ = std::make_unique<asio::ssl::stream<Socket>>(std::move(*socket_), *context_);
  socket_.reset();
  ErrorStatus not_an_address;
  asio::ip::make_address(host, not_an_address);
  // SNI carries names only (RFC 6066, 3).
  if (not_an_address) SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  tls_->set_verify_mode(asio::ssl::verify_peer);
  tls_->set_verify_callback(asio::ssl::host_name_verification(host));
  const auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kAwait);
  co_return ec;
}

void Stream::start_read() {
  if (reading_ || closed_) return;
  if (input_.spare().size() < kMinRoom) input_.prepare(2 * kMinRoom);
  const std::span<char> room = input_.spare();
  reading_ = true;
  read_status_ = {};
  auto handler = [self = shared_from_this()](const ErrorStatus& ec, std::size_t bytes) { self->read_ended(ec, bytes); };
  const asio::mutable_buffer into(room.data(), room.size());
  if (tls_) {
    tls_->async_read_some(into, std::move(handler));
  } else {
    socket_->async_read_some(into, std::move(handler));
  }
}

void Stream::read_ended(const ErrorStatus& ec, std::size_t bytes) {
  reading_ = false;
  read_status_ = ec;
  if (bytes > 0) input_.commit(bytes);
  if (waiting_) {
    waiting_ = false;
    readable_.notify();
  } else if (ec && !closed_ && on_gone_) {
    const auto callback = on_gone_;  // the call may set another
    callback();
  }
}

Task<ErrorStatus> Stream::wait_read() {
  if (closed_) co_return asio::error::operation_aborted;
  if (reading_) co_await read_end();
  co_return read_status_;
}

std::optional<ErrorStatus> Stream::try_write(std::span<asio::const_buffer>& buffers) {
  if (closed_) return ErrorStatus(asio::error::operation_aborted);
  if (tls_) return std::nullopt;
  ErrorStatus ec;
  std::size_t written = socket_->write_some(buffers, ec);
  if (ec && ec != asio::error::would_block && ec != asio::error::try_again) return ec;
  while (!buffers.empty() && written >= buffers.front().size()) {
    written -= buffers.front().size();
    buffers = buffers.subspan(1);
  }
  if (buffers.empty()) return ErrorStatus();
  buffers.front() += written;
  return std::nullopt;
}

Task<ErrorStatus> Stream::write(std::span<asio::const_buffer> buffers) {
  if (const auto done = try_write(buffers)) co_return *done;
  if (!tls_) {
    const auto [status, rest] = co_await asio::async_write(*socket_, buffers, kAwait);
    co_return status;
  }
  const auto [status, all] = co_await asio::async_write(*tls_, buffers, kAwait);
  co_return status;
}

void Stream::shutdown_send() {
  ErrorStatus ignored;
  socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
}

void Stream::close() {
  if (closed_) return;
  closed_ = true;
  on_gone_ = {};
  ErrorStatus ignored;
  socket().close(ignored);
}

void Stream::reset() {
  if (closed_) return;
  ErrorStatus ignored;
  socket().set_option(asio::socket_base::linger(true, 0), ignored);
  close();
}

}  // namespace spillway::http
