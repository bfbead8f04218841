// Requests to upstreams: connections that are kept, one request at a time on each.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop_timers.h"
#include "http/address_race.h"
#include "http/parser.h"
#include "http/resolver.h"
#include "http/stream.h"
#include "http/url.h"

namespace spillway::http {

// Where a connection leads. Connections are shared between requests of the same `key` only.
struct Origin {
  std::string key;
  Url url;
  std::shared_ptr<asio::ssl::context> tls;  // set when url.tls
  std::shared_ptr<TlsSessions> sessions;    // likewise
  std::string local;                        // the path of a Unix-domain socket that leads there; empty: TCP
};

// How a step on an upstream's connection ended.
enum class ClientStatus {
  kOk,
  kComplete,       // the response is whole
  kResolveFailed,  // its name has no address
  kConnectFailed,  // refused, unreachable
  kTlsFailed,      // handshake, certificate
  kTimeout,        // the instant given passed
  kClosed,         // the other side ended it, or the network did
  kGarbage,        // not HTTP, or beyond the limits
  kAborted,        // abort() was called
};

// One connection to an upstream. One thread; held by shared_ptr.
class ClientConnection : public std::enable_shared_from_this<ClientConnection> {
 public:
  ClientConnection(asio::io_context& loop, LoopTimers& timers, ParserLimits limits);

  // Resolves, connects (see AddressRace) and shakes hands, all by `until`.
  Task<ClientStatus> open(const Origin& origin, Resolver& resolver, TimePoint until);

  // Sends a request: all of `buffers`, which is changed. An upstream that refuses it (status 300 and above) or breaks
  // off before it has all of it ends the sending with kOk; receive() then gives what it said.
  Task<ClientStatus> send(std::span<asio::const_buffer> buffers, TimePoint until);

  // Reads once and parses. kOk: there is more to come; kComplete: it is whole. 1xx are skipped.
  Task<ClientStatus> receive(TimePoint until);

  // The whole response has come.
  [[nodiscard]] bool complete() const { return complete_; }
  [[nodiscard]] bool head_done() const { return parser_.head_done(); }
  [[nodiscard]] int status() const { return parser_.status(); }
  void read_headers(Headers& headers) const { parser_.read_headers(stream_->input(), headers); }
  // What has come of the body and was not consumed; ByteBuffer::kPadding bytes behind it are readable.
  [[nodiscard]] std::string_view body() const {
    return stream_->input().view(parser_.body_begin(), parser_.body_end());
  }
  void consume_body(std::size_t bytes) { parser_.consume_body(stream_->input(), bytes); }
  // Bytes of the current response that have come, of whatever kind.
  [[nodiscard]] bool anything_received() const { return anything_received_; }
  // What the last failure was, for people.
  [[nodiscard]] const std::string& failure() const { return failure_; }

  // Ends what is under way with kAborted. Idempotent.
  void abort();

  [[nodiscard]] bool reused() const { return served_ > 0; }

 private:
  friend class ClientPool;

  // Whole response read, nothing behind it, and the other side keeps the connection.
  [[nodiscard]] bool reusable() const;
  ClientStatus open_local(const std::string& path);
  void make_idle(std::function<void()> on_gone);
  void make_busy();
  void read_while_sending();
  ClientStatus ended(ClientStatus otherwise, const ErrorStatus& ec);

  asio::io_context& loop_;
  LoopTimers& timers_;
  std::shared_ptr<Stream> stream_;
  std::shared_ptr<AddressRace> race_;  // while open() connects
  ResponseParser parser_;
  LoopTimers::Entry timer_;
  WaitList::Node resolved_;  // wakes open() while it waits for addresses
  std::string failure_;
  std::string key_;
  TimePoint opened_at_{};
  TimePoint idle_since_{};
  ParseStatus parsed_ = ParseStatus::kNeedMore;  // of what came while the request was sent
  std::uint64_t served_ = 0;
  bool complete_ = false;
  bool anything_received_ = false;
  bool resolving_ = false;
  bool refused_early_ = false;  // the request was not sent to its end
  bool timed_out_ = false;
  bool aborted_ = false;
};

// Idle connections of one thread, by Origin; the one used last is used first.
class ClientPool {
 public:
  static constexpr std::size_t kMaxIdlePerOrigin = 512;
  static constexpr seconds kMaxIdleTime{120};  // OpenSSL 3.0 handshakes are slow: keep what is warm
  static constexpr seconds kMaxAge{600};       // so that a busy one too comes to see a name's new address

  ClientPool(asio::io_context& loop, LoopTimers& timers, ParserLimits limits, Duration max_age = kMaxAge);
  ~ClientPool();

  // An idle connection to `origin`, or null.
  std::shared_ptr<ClientConnection> take(const Origin& origin);
  // A new one, to be opened by the caller.
  std::shared_ptr<ClientConnection> make();
  // Gives a connection back: kept when it can serve again, else closed.
  void give_back(std::shared_ptr<ClientConnection> connection);
  // One that was opened ahead of its use.
  void add_idle(std::shared_ptr<ClientConnection> connection);
  // Called when the last idle connection of an origin's key has ended, or one came back that cannot serve again and
  // there is no other.
  void on_none_idle(std::function<void(const std::string& key)> callback) { on_none_idle_ = std::move(callback); }
  // When a connection to it was last asked for.
  [[nodiscard]] TimePoint last_taken(const std::string& key) const;
  // Closes all idle connections.
  void clear();

  // For connections that are made from now on.
  void set_limits(ParserLimits limits) { limits_ = limits; }

  [[nodiscard]] std::size_t idle_count() const;
  [[nodiscard]] std::size_t idle_count(const std::string& key) const;

 private:
  struct Idle {
    std::vector<std::shared_ptr<ClientConnection>> connections;
    TimePoint taken_at{};  // last
  };

  void sweep();
  void forget(const ClientConnection* connection);
  void keep(std::shared_ptr<ClientConnection> connection);
  void none_idle(const std::string& key) const;

  asio::io_context& loop_;
  LoopTimers& timers_;
  ParserLimits limits_;
  Duration max_age_;
  std::unordered_map<std::string, Idle> idle_;
  std::function<void(const std::string& key)> on_none_idle_;
  LoopTimers::Entry sweeper_;
};

}  // namespace spillway::http
