#include "http/server.h"

#include <openssl/err.h>
#include <openssl/sslerr.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/error.hpp>

#include "base/log.h"
#include "base/spawn.h"

namespace spillway::http {

namespace {

constexpr std::size_t kLingerRoom = 64u << 10;  // bytes that are read at once, and dropped, after a refusal
constexpr seconds kLingerTime{30};              // so long at most (nginx: lingering_time)
constexpr seconds kLingerSilence{2};            // and while something comes at least so often (lingering_timeout)
constexpr seconds kEndTime{1};                  // for the end of a TLS connection
constexpr milliseconds kAcceptPause{100};       // after accept() failed for want of descriptors

}  // namespace

ServerConnection::ServerConnection(Server& server, Socket socket)
    : server_(server),
      stream_(std::make_shared<Stream>(std::move(socket))),
      parser_(server.limits_->parser),
      tls_(server.tls_),
      timer_(server.timers_, [this] { time_out(); }),
      writer_(*stream_, server.timers_) {}

// The coroutine must wake to answer 408, so the read is cancelled rather than the socket closed.
void ServerConnection::time_out() {
  timed_out_ = true;
  stream_->cancel();
}

Task<> ServerConnection::run() {
  const auto self = shared_from_this();
  stream_->prepare();
  ErrorStatus gone;
  const auto endpoint = stream_->socket().remote_endpoint(gone);
  if (!gone) peer_ = endpoint.address().to_string();
  if (tls_ && !co_await shake_hands()) {
    stream_->close();
    co_return;
  }
  while (co_await read_request()) {
    client_gone_ = false;
    // A read is pending while the request is handled: it sees the client leave, and takes in what
    // is pipelined. `request_` looks into the same buffer, so room is made before.
    stream_->input().prepare(Stream::kMinRoom);
    parser_.read(stream_->input(), request_);
    if (!judged_) {
      writer_.begin(request_, server_.draining_, server_.limits_->write_timeout);
      if (const auto early = server_.handler_.on_head(writer_, request_)) {
        co_await answer_early(*early, true);
        if (!writer_.reusable() || server_.draining_) break;
        finish_request();
        continue;
      }
    }
    handling_ = true;
    stream_->on_read([this] { read_while_handling(); });
    stream_->start_read();
    co_await server_.handler_.handle(*this, request_);
    on_client_gone_ = {};
    stream_->on_read({});
    handling_ = false;
    if (client_gone_ || !writer_.reusable() || server_.draining_) break;
    const bool pipelined = stream_->input().end() > parser_.consumed();
    if (stream_->reading() && (pipelined || stream_->input().capacity() > Stream::kIdleBuffer)) {
      // The next request cannot be moved to the front, nor a large buffer given back, below a read.
      stream_->cancel();
      if (const ErrorStatus ec = co_await stream_->wait_read(); ec && ec != asio::error::operation_aborted) break;
    }
    finish_request();
  }
  if (writer_.spoiled()) {
    stream_->reset();
    co_return;
  }
  if (tls_ && !client_gone_ && !writer_.failed()) {
    timer_.arm(now() + kEndTime);
    co_await stream_->end_tls();
    timer_.disarm();
  }
  stream_->close();
}

Task<bool> ServerConnection::shake_hands() {
  timer_.arm(now() + server_.limits_->header_timeout);
  const ErrorStatus ec = co_await stream_->accept_tls(tls_);
  timer_.disarm();
  if (!ec) co_return true;
  if (ERR_GET_REASON(static_cast<unsigned long>(ec.value())) == SSL_R_HTTP_REQUEST) {
    // In plain words, to whoever asked so.
    const std::string body = server_.handler_.render_failure(400, "this port speaks TLS; ask with https://");
    const std::string answer =
        "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nConnection: close\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    ErrorStatus ignored;
    stream_->socket().write_some(asio::buffer(answer), ignored);
    stream_->shutdown_send();
  }
  co_return false;
}

// The read is set again after pipelined or stray bytes, for what comes behind them: a client that has left. Only as far
// as there is room, since nothing may move below the request: then it is noticed at the next write.
void ServerConnection::read_while_handling() {
  if (!stream_->read_status()) {
    stream_->start_read_in_place();
    return;
  }
  client_gone_ = true;
  const auto callback = on_client_gone_;  // cleared when the request ends, which the call may bring about
  if (callback) callback();
}

// Drops the request that was answered; pipelined bytes move to the front.
void ServerConnection::finish_request() {
  server_.load_->give_back(std::exchange(buffered_, 0));
  judged_ = false;
  // Not while a read is under way into the buffer: then its bytes would land in the wrong place.
  // That read began behind end(), so the request's bytes are dropped once it has ended.
  if (!stream_->reading()) {
    stream_->input().drop_front(parser_.consumed());
    parser_.reset();
    stream_->input().shrink(Stream::kIdleBuffer);
  }
}

// Takes what the body needs beyond a small buffer out of what all clients together may have here: its length where that
// was told, else what has come of it. False: too much is held already.
bool ServerConnection::buffer_body() {
  const std::uint64_t body =
      std::max<std::uint64_t>(parser_.content_length(), parser_.body_end() - parser_.body_begin());
  if (body <= Stream::kIdleBuffer || body <= buffered_) return true;
  if (!server_.load_->buffer(body - buffered_, server_.limits_->max_buffered)) return false;
  buffered_ = body;
  return true;
}

Task<> ServerConnection::answer_early(const EarlyAnswer& answer, bool body_is_there) {
  timer_.disarm();
  if (!body_is_there) writer_.close_after();
  const bool sent = co_await writer_.send(answer.status, answer.content_type, answer.body);
  if (sent && !body_is_there) co_await linger();
}

Task<bool> ServerConnection::read_request() {
  const ServerLimits& limits = *server_.limits_;
  ByteBuffer& input = stream_->input();
  if (stream_->reading()) {
    // The read that was pending during the last request, or no request yet.
    idle_ = true;
    timer_.arm(now() + limits.keep_alive_timeout);
    co_await stream_->read_end();
    timer_.disarm();
    if (stream_->closed() || stream_->read_status() || timed_out_) co_return false;
    finish_request();
  }
  bool head_timed = false;
  bool body_timed = false;
  idle_ = input.end() == 0;
  for (;;) {
    if (input.end() > parser_.consumed()) {
      idle_ = false;
      switch (parser_.feed(input)) {
        case ParseStatus::kComplete: timer_.disarm(); co_return true;
        case ParseStatus::kError: co_await refuse(parser_.failure()); co_return false;
        case ParseStatus::kNeedMore: break;
      }
      if (parser_.head_done() && !judged_) {
        judged_ = true;
        parser_.read(input, request_);
        writer_.begin(request_, server_.draining_, limits.write_timeout);
        if (const auto early = server_.handler_.on_head(writer_, request_)) {
          co_await answer_early(*early, false);
          co_return false;
        }
      }
      if (parser_.head_done() && !buffer_body()) {
        co_await refuse({503, "too many large requests are under way; send it again in a moment"});
        co_return false;
      }
      if (parser_.head_done() && !body_timed) {
        body_timed = true;
        timer_.arm(now() + limits.body_timeout);
        if (parser_.expects_continue() && parser_.body_end() == parser_.body_begin()) {
          std::array<asio::const_buffer, 1> interim{asio::buffer("HTTP/1.1 100 Continue\r\n\r\n", 25)};
          if (co_await stream_->write(interim)) co_return false;
        }
        // Room for all of the body at once, rather than by doubling.
        const std::uint64_t length = parser_.content_length();
        if (length > 0) input.prepare(static_cast<std::size_t>(length) + Stream::kMinRoom);
      } else if (!parser_.head_done() && !head_timed) {
        head_timed = true;
        timer_.arm(now() + limits.header_timeout);
      }
    } else if (idle_) {
      timer_.arm(now() + limits.header_timeout);
    }
    stream_->start_read();
    if (stream_->reading()) co_await stream_->read_end();
    const ErrorStatus ec = stream_->closed() ? asio::error::operation_aborted : stream_->read_status();
    if (timed_out_) {
      if (!idle_)
        co_await refuse(
            {408, parser_.head_done() ? "the body did not arrive in time" : "the header did not arrive in time"});
      co_return false;
    }
    if (ec && input.end() == parser_.consumed()) co_return false;
  }
}

Task<> ServerConnection::refuse(ParseFailure failure) {
  timer_.disarm();
  Request nobody;
  nobody.keep_alive = false;
  writer_.begin(nobody, true, milliseconds(kLingerSilence));
  if (failure.status == 503) writer_.add_header("Retry-After", "1");
  const std::string body = server_.handler_.render_failure(failure.status, failure.what);
  if (co_await writer_.send(failure.status, "application/json", body)) co_await linger();
}

// Closing with unread bytes makes the kernel send a reset, which can overtake the answer (RFC 9112,
// 9.6): so our side ends first, and what still comes is dropped for a while.
Task<> ServerConnection::linger() {
  stream_->shutdown_send();
  timed_out_ = false;
  idle_ = true;  // a drain need not wait for it
  const TimePoint until = now() + kLingerTime;
  while (!timed_out_) {
    timer_.arm(std::min(until, now() + kLingerSilence));
    stream_->input().truncate(0);
    stream_->input().prepare(kLingerRoom);
    stream_->start_read();
    if (co_await stream_->wait_read()) break;
  }
  timer_.disarm();
}

Server::Server(asio::io_context& loop, LoopTimers& timers, Handler& handler, std::shared_ptr<const ServerLimits> limits,
               std::shared_ptr<ServerLoad> load)
    : loop_(loop),
      timers_(timers),
      handler_(handler),
      limits_(std::move(limits)),
      load_(std::move(load)),
      acceptor_(loop) {}

Server::~Server() { close(); }

Result<std::uint16_t> Server::listen(const asio::ip::tcp::endpoint& endpoint) {
  ErrorStatus ec;
  const auto failed = [&](std::string_view what) {
    const std::string where =
        (endpoint.address().is_v6() ? "[" + endpoint.address().to_string() + "]" : endpoint.address().to_string()) +
        ":" + std::to_string(endpoint.port());
    Error error{ErrorCode::kUnavailable, std::string(what) + " " + where + ": " + ec.message(), {}};
    if (ec == asio::error::address_in_use) {
      error.code = ErrorCode::kAlreadyExists;
      error.hint = "another program listens there; end it, or set another address (port 0 picks a free one)";
    } else if (ec == asio::error::access_denied) {
      error.code = ErrorCode::kPermissionDenied;
      error.hint = "ports below 1024 need root or CAP_NET_BIND_SERVICE";
    }
    return error;
  };
  acceptor_.open(endpoint.protocol(), ec);
  if (ec) return failed("cannot open a socket for");
  acceptor_.set_option(asio::socket_base::reuse_address(true), ec);
  const int on = 1;
  ::setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  acceptor_.bind(endpoint, ec);
  if (ec) return failed("cannot listen on");
  acceptor_.listen(4096, ec);
  if (ec) return failed("cannot listen on");
  return acceptor_.local_endpoint(ec).port();
}

void Server::start() {
  accepting_ = true;
  spawn(loop_, "accepting connections", accept_loop(), [this](const std::string&) {
    if (acceptor_.is_open() && !draining_) start();
  });
}

Task<> Server::accept_loop() {
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> pause(loop_);
  while (acceptor_.is_open() && !draining_) {
    auto [ec, socket] = co_await acceptor_.async_accept(kAwait);
    if (!ec) {
      adopt(std::move(socket));
      continue;
    }
    if (ec == asio::error::operation_aborted || !acceptor_.is_open()) break;
    if (ec == asio::error::connection_aborted) continue;
    log::warn("cannot accept connections: " + ec.message());
    pause.expires_after(kAcceptPause);
    co_await pause.async_wait(kAwait);
  }
}

void Server::adopt(Socket socket) {
  if (load_->connections.fetch_add(1, std::memory_order_relaxed) >= limits_->max_connections) {
    load_->connections.fetch_sub(1, std::memory_order_relaxed);
    ErrorStatus ignored;
    const std::string body = handler_.render_failure(503, "there are too many connections");
    const std::string answer =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
        "Connection: close\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    socket.non_blocking(true, ignored);
    socket.write_some(asio::buffer(answer), ignored);
    socket.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    return;
  }
  auto connection = std::make_shared<ServerConnection>(*this, std::move(socket));
  const auto place = open_.insert(open_.end(), connection.get());
  // The coroutine holds the connection; the list only tells whom to close.
  asio::co_spawn(loop_, connection->run(), [this, place, connection, counter = load_](std::exception_ptr failure) {
    if (failure) bug("a connection ended by an exception: " + text_of(failure));
    connection->stream_->close();
    counter->give_back(connection->buffered_);
    open_.erase(place);
    counter->connections.fetch_sub(1, std::memory_order_relaxed);
  });
}

void Server::drain() {
  if (draining_) return;
  draining_ = true;
  ErrorStatus ignored;
  acceptor_.close(ignored);
  for (ServerConnection* connection : open_) {
    if (!connection->handling_ && connection->idle_) connection->stream_->close();
  }
}

void Server::close() {
  draining_ = true;
  ErrorStatus ignored;
  acceptor_.close(ignored);
  // A callback may bring its connection to its end, which takes it out of the list.
  std::vector<std::shared_ptr<ServerConnection>> all;
  all.reserve(open_.size());
  for (ServerConnection* connection : open_) all.push_back(connection->shared_from_this());
  for (const auto& connection : all) {
    if (connection->handling_) {
      connection->client_gone_ = true;
      const auto callback = connection->on_client_gone_;
      if (callback) callback();
    }
    connection->stream_->close();
  }
}

}  // namespace spillway::http
