#include "http/stream.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

#include <boost/asio/write.hpp>

#include "http/tls.h"

namespace spillway::http {

Stream::Stream(Socket socket) : socket_(std::move(socket)) {}

void Stream::prepare() {
  ErrorStatus ignored;
  socket().set_option(asio::ip::tcp::no_delay(true), ignored);
  socket().non_blocking(true, ignored);
}

Task<ErrorStatus> Stream::start_tls(std::shared_ptr<asio::ssl::context> context, std::string host,
                                    std::shared_ptr<TlsSessions> sessions) {
  context_ = std::move(context);
  tls_ = std::make_unique<asio::ssl::stream<Socket>>(std::move(*socket_), *context_);
  socket_.reset();
  SSL* const ssl = tls_->native_handle();
  ErrorStatus not_an_address;
  asio::ip::make_address(host, not_an_address);
  if (not_an_address) {
    SSL_set_tlsext_host_name(ssl, host.c_str());  // SNI carries names only (RFC 6066, 3)
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(ssl, host.c_str());
  } else {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str());
  }
  tls_->set_verify_mode(asio::ssl::verify_peer);
  take_up_session(ssl, std::move(sessions));
  const auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::client, kAwait);
  co_return ec;
}

Task<ErrorStatus> Stream::accept_tls(std::shared_ptr<asio::ssl::context> context) {
  context_ = std::move(context);
  tls_ = std::make_unique<asio::ssl::stream<Socket>>(std::move(*socket_), *context_);
  socket_.reset();
  const auto [ec] = co_await tls_->async_handshake(asio::ssl::stream_base::server, kAwait);
  co_return ec;
}

Task<> Stream::end_tls() {
  if (!tls_ || closed_) co_return;
  if (reading_) {
    cancel();
    co_await wait_read();
  }
  if (!closed_) (void)co_await tls_->async_shutdown(kAwait);
}

std::string Stream::tls_failure(const ErrorStatus& status) const {
  if (!tls_) return status.message();
  switch (const long verified = SSL_get_verify_result(tls_->native_handle())) {
    case X509_V_OK: break;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "its certificate is signed by an authority that is not trusted here; ca_file names further ones";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: return "its certificate is for another host than the one in base_url";
    case X509_V_ERR_CERT_HAS_EXPIRED: return "its certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "its certificate is not valid yet; is this machine's clock right?";
    default: return std::string("its certificate is refused: ") + X509_verify_cert_error_string(verified);
  }
  if (ERR_GET_REASON(static_cast<unsigned long>(status.value())) == SSL_R_WRONG_VERSION_NUMBER)
    return "the other side does not speak TLS; is base_url meant to begin with http://?";
  return status.message();
}

void Stream::start_read() {
  if (reading_ || closed_) return;
  if (input_.spare().size() < kMinRoom) input_.prepare(2 * kMinRoom);
  begin_read();
}

bool Stream::start_read_in_place() {
  if (reading_ || closed_) return true;
  if (input_.spare().empty()) return false;
  begin_read();
  return true;
}

void Stream::begin_read() {
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
  } else if (!closed_ && on_read_) {
    const auto callback = on_read_;  // the call may set another
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

void Stream::cancel() {
  ErrorStatus ignored;
  socket().cancel(ignored);
}

void Stream::close() {
  if (closed_) return;
  closed_ = true;
  on_read_ = {};
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
