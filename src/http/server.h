// HTTP/1.1 server connections: framing, limits, time-outs, keep-alive, pipelining, drain.
//
// What a request means is the Handler's; it is called once for each whole request, one at a time
// on each connection, and answers through the ResponseWriter.
#pragma once

#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "base/loop_timers.h"
#include "base/result.h"
#include "http/parser.h"
#include "http/response_writer.h"
#include "http/stream.h"

namespace spillway::http {

struct ServerLimits {
  ParserLimits parser;
  std::uint32_t max_connections = 20'000;  // over all Servers that share a ServerLoad
  std::uint64_t max_buffered = 1u << 30;   // bytes of request bodies, over the same
  milliseconds header_timeout{10'000};
  milliseconds body_timeout{60'000};
  milliseconds keep_alive_timeout{75'000};
  milliseconds write_timeout{60'000};
};

// What all Servers of a process hold of their clients.
class ServerLoad {
 public:
  std::atomic<std::uint32_t> connections{0};  // open ones

  // Bytes of request bodies that are being read, or wait with their requests for an answer.
  [[nodiscard]] std::uint64_t buffered() const { return buffered_.load(std::memory_order_relaxed); }
  // False: with `bytes` more there would be more than `most`.
  bool buffer(std::uint64_t bytes, std::uint64_t most) {
    if (buffered_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= most) return true;
    give_back(bytes);
    return false;
  }
  void give_back(std::uint64_t bytes) { buffered_.fetch_sub(bytes, std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> buffered_{0};
};

class ServerConnection;

// An answer that needs no more than the head of its request.
struct EarlyAnswer {
  int status = 0;
  std::string content_type;
  std::string body;
};

class Handler {
 public:
  virtual ~Handler() = default;

  // Judges a request by its head, before its body is read: `head.body` means nothing. Something: that is the answer,
  // with the fields that were added to `response`, and handle() is not called.
  virtual std::optional<EarlyAnswer> on_head(ResponseWriter& /*response*/, const Request& /*head*/) {
    return std::nullopt;
  }

  // Answers `request`, wholly. Views in it are valid until the Task ends.
  virtual Task<> handle(ServerConnection& connection, const Request& request) = 0;

  // Body of the answer to a message that was refused before it was a Request; JSON.
  virtual std::string render_failure(int status, std::string_view what) = 0;
};

class Server;

// One client's connection. One thread; held by shared_ptr by its own coroutine.
class ServerConnection : public std::enable_shared_from_this<ServerConnection> {
 public:
  ServerConnection(Server& server, Socket socket);

  [[nodiscard]] ResponseWriter& response() { return writer_; }

  // While a request is handled: called once when the client has left. Cleared afterwards.
  void on_client_gone(std::function<void()> callback) { on_client_gone_ = std::move(callback); }
  [[nodiscard]] bool client_gone() const { return client_gone_; }

  // The client's address; empty when it left before it could be asked for.
  [[nodiscard]] const std::string& peer() const { return peer_; }

 private:
  friend class Server;

  Task<> run();
  Task<bool> shake_hands();
  Task<bool> read_request();
  bool buffer_body();
  Task<> answer_early(const EarlyAnswer& answer, bool body_is_there);
  void read_while_handling();
  Task<> refuse(ParseFailure failure);
  Task<> linger();
  void time_out();
  void finish_request();

  Server& server_;
  std::shared_ptr<Stream> stream_;
  RequestParser parser_;
  Request request_;
  std::shared_ptr<asio::ssl::context> tls_;
  LoopTimers::Entry timer_;
  ResponseWriter writer_;
  std::string peer_;
  std::function<void()> on_client_gone_;
  bool client_gone_ = false;
  std::uint64_t buffered_ = 0;  // of the Server's load
  bool judged_ = false;         // by its head
  bool timed_out_ = false;
  bool handling_ = false;
  bool idle_ = true;  // between requests, nothing of the next one has come
};

// Accepts on one address in one loop. Several Servers may listen on one port (SO_REUSEPORT); the
// kernel spreads connections over them. One thread.
class Server {
 public:
  // `load` counts over all Servers that share it.
  Server(asio::io_context& loop, LoopTimers& timers, Handler& handler, std::shared_ptr<const ServerLimits> limits,
         std::shared_ptr<ServerLoad> load);
  ~Server();

  // Binds and listens; the port that was picked for port 0. kAlreadyExists: it is taken.
  Result<std::uint16_t> listen(const asio::ip::tcp::endpoint& endpoint);
  // Starts to accept.
  void start();

  // For connections that are accepted from now on. Null: they are plain.
  void set_tls(std::shared_ptr<asio::ssl::context> tls) { tls_ = std::move(tls); }
  void set_limits(std::shared_ptr<const ServerLimits> limits) { limits_ = std::move(limits); }

  // Accepts no more, closes idle connections, lets requests that are being handled end.
  void drain();
  [[nodiscard]] bool draining() const { return draining_; }
  // Ends everything now.
  void close();
  [[nodiscard]] std::size_t open_connections() const { return open_.size(); }

 private:
  friend class ServerConnection;

  Task<> accept_loop();
  void adopt(Socket socket);

  asio::io_context& loop_;
  LoopTimers& timers_;
  Handler& handler_;
  std::shared_ptr<const ServerLimits> limits_;
  std::shared_ptr<ServerLoad> load_;
  std::shared_ptr<asio::ssl::context> tls_;
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
  std::list<ServerConnection*> open_;
  bool draining_ = false;
  bool accepting_ = false;
};

}  // namespace spillway::http
