#include "http/client.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cerrno>

namespace spillway::http {

namespace {}  // namespace

ClientConnection::ClientConnection(asio::io_context& loop, LoopTimers& timers, ParserLimits limits)
    : loop_(loop),
      timers_(timers),
      stream_(std::make_shared<Stream>(Socket(loop))),
      parser_(limits),
      timer_(timers, [this] {
        timed_out_ = true;
        stream_->close();
        if (race_) race_->stop();
      }) {}

ClientStatus ClientConnection::ended(ClientStatus otherwise, const ErrorStatus& ec) {
  if (aborted_) return ClientStatus::kAborted;
  if (timed_out_) {
    failure_ = "timed out";
    return ClientStatus::kTimeout;
  }
  failure_ = ec == asio::error::eof ? "the connection was closed" : ec.message();
  return otherwise;
}

Task<ClientStatus> ClientConnection::open(const Origin& origin, Resolver& resolver, TimePoint until) {
  key_ = origin.key;
  if (!origin.local.empty()) co_return open_local(origin.local);
  resolving_ = true;
  Resolver::Answer found = co_await resolver.resolve(origin.url.host, origin.url.port, until, &resolved_);
  resolving_ = false;
  if (aborted_) co_return ClientStatus::kAborted;
  if (found.status) {
    failure_ = origin.url.host + ": " + found.status.message();
    co_return found.status == asio::error::timed_out ? ClientStatus::kTimeout : ClientStatus::kResolveFailed;
  }
  timer_.arm(until);
  race_ = std::make_shared<AddressRace>(loop_, timers_, std::move(found.endpoints));
  const std::shared_ptr<AddressRace> race = race_;
  ErrorStatus ec = co_await race->run();
  race_.reset();
  if (ec || aborted_ || timed_out_) co_return ended(ClientStatus::kConnectFailed, ec);
  resolver.prefer(origin.url.host, race->address().address());
  stream_ = std::make_shared<Stream>(race->take_socket());
  stream_->prepare();
  opened_at_ = now();
  if (origin.url.tls) {
    ec = co_await stream_->start_tls(origin.tls, origin.url.host, origin.sessions);
    if (ec || aborted_ || timed_out_) {
      const ClientStatus status = ended(ClientStatus::kTlsFailed, ec);
      if (status == ClientStatus::kTlsFailed) failure_ = stream_->tls_failure(ec);
      co_return status;
    }
  }
  timer_.disarm();
  co_return ClientStatus::kOk;
}

// Without waiting: a listener's queue takes a connection at once, or is full. Asio's TCP socket takes any stream
// socket's descriptor.
ClientStatus ClientConnection::open_local(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ErrorStatus ec;
  if (path.size() >= sizeof address.sun_path) {
    ec = asio::error::name_too_long;
  } else {
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
      ec.assign(errno, boost::system::system_category());
      if (fd >= 0) ::close(fd);
    } else {
      Socket socket(loop_);
      socket.assign(asio::ip::tcp::v4(), fd, ec);
      stream_ = std::make_shared<Stream>(std::move(socket));
      stream_->prepare();
      opened_at_ = now();
    }
  }
  if (!ec) return ClientStatus::kOk;
  const ClientStatus status = ended(ClientStatus::kConnectFailed, ec);
  failure_ = path + ": " + failure_;
  return status;
}

Task<ClientStatus> ClientConnection::send(std::span<asio::const_buffer> buffers, TimePoint until) {
  anything_received_ = false;
  complete_ = refused_early_ = false;
  parsed_ = ParseStatus::kNeedMore;
  ErrorStatus ec;
  if (const auto done = stream_->try_write(buffers)) {
    ec = *done;
  } else {
    // It takes a while: an upstream that does not want the rest says so meanwhile, and then reads no more.
    stream_->on_read([this] { read_while_sending(); });
    stream_->start_read();
    timer_.arm(until);
    ec = co_await stream_->write(buffers);
    timer_.disarm();
    stream_->on_read({});
  }
  if (aborted_ || timed_out_ || (ec && stream_->closed())) co_return ended(ClientStatus::kClosed, ec);
  // An upstream may answer and close before it has read the whole request: the answer counts.
  if (ec) refused_early_ = true;
  co_return ClientStatus::kOk;
}

void ClientConnection::read_while_sending() {
  ByteBuffer& input = stream_->input();
  while (input.end() > parser_.consumed() && parsed_ == ParseStatus::kNeedMore) {
    anything_received_ = true;
    parsed_ = parser_.feed(input);
    if (parsed_ != ParseStatus::kComplete || parser_.status() >= 200) break;
    input.drop_front(parser_.consumed());  // an interim answer
    parser_.reset();
    parsed_ = ParseStatus::kNeedMore;
  }
  const bool refused = parsed_ == ParseStatus::kError || (parser_.head_done() && parser_.status() >= 300);
  if (refused || stream_->read_status()) {
    stream_->cancel();
  } else if (!parser_.head_done()) {
    stream_->start_read();  // what of the answer itself comes so early waits in the kernel
  }
}

Task<ClientStatus> ClientConnection::receive(TimePoint until) {
  ByteBuffer& input = stream_->input();
  for (;;) {
    ParseStatus parsed = std::exchange(parsed_, ParseStatus::kNeedMore);
    const bool known = parsed != ParseStatus::kNeedMore;
    // Not behind an end that came while the request was sent: Asio would wait for a second one.
    if (!known && !stream_->reading() && input.end() == parser_.consumed() && !stream_->read_status())
      stream_->start_read();
    if (!known && stream_->reading()) {
      timer_.arm(until);
      co_await stream_->read_end();
      timer_.disarm();
    }
    const ErrorStatus ec = stream_->closed() ? asio::error::operation_aborted : stream_->read_status();
    if (aborted_ || timed_out_) co_return ended(ClientStatus::kClosed, ec);
    if (!known && input.end() > parser_.consumed()) {
      anything_received_ = true;
      parsed = parser_.feed(input);
    }
    if (parsed == ParseStatus::kNeedMore && ec) {
      if (ec != asio::error::eof && ec != asio::ssl::error::stream_truncated)
        co_return ended(ClientStatus::kClosed, ec);
      if (parser_.finish() != ParseStatus::kComplete) {
        failure_ = parser_.failure().what;
        co_return ClientStatus::kClosed;
      }
      complete_ = true;
      co_return ClientStatus::kComplete;
    }
    if (parsed == ParseStatus::kError) {
      failure_ = parser_.failure().what;
      co_return ClientStatus::kGarbage;
    }
    if (parsed == ParseStatus::kNeedMore) co_return ClientStatus::kOk;
    if (parser_.status() >= 200) {
      complete_ = true;
      co_return ClientStatus::kComplete;
    }
    // An interim answer: the real one follows.
    input.drop_front(parser_.consumed());
    parser_.reset();
  }
}

void ClientConnection::abort() {
  aborted_ = true;
  stream_->close();
  // Either goes on with open(): nothing may follow.
  if (std::exchange(resolving_, false)) {
    resolved_.event.notify();
  } else if (const std::shared_ptr<AddressRace> race = race_) {
    race->stop();
  }
}

bool ClientConnection::reusable() const {
  return complete_ && !refused_early_ && parser_.keep_alive() && stream_->input().end() == parser_.consumed() &&
         !stream_->closed() && !stream_->reading() && !stream_->read_status();
}

void ClientConnection::make_idle(std::function<void()> on_gone) {
  ++served_;
  timer_.disarm();
  parser_.reset();
  stream_->input().truncate(0);
  stream_->input().shrink(Stream::kIdleBuffer);
  complete_ = anything_received_ = false;
  idle_since_ = now();
  stream_->on_read(std::move(on_gone));  // bytes that nobody asked for are as good as an end
  stream_->start_read();
}

void ClientConnection::make_busy() { stream_->on_read({}); }

ClientPool::ClientPool(asio::io_context& loop, LoopTimers& timers, ParserLimits limits, Duration max_age)
    : loop_(loop), timers_(timers), limits_(limits), max_age_(max_age), sweeper_(timers, [this] { sweep(); }) {}

ClientPool::~ClientPool() { clear(); }

std::shared_ptr<ClientConnection> ClientPool::take(const Origin& origin) {
  Idle& idle = idle_[origin.key];
  idle.taken_at = now();
  while (!idle.connections.empty()) {
    std::shared_ptr<ClientConnection> connection = std::move(idle.connections.back());
    idle.connections.pop_back();
    connection->make_busy();
    // A read that has ended while idle: the other side closed, or spoke without being asked.
    if (connection->stream_->reading()) return connection;
    connection->abort();
  }
  return nullptr;
}

std::shared_ptr<ClientConnection> ClientPool::make() {
  return std::make_shared<ClientConnection>(loop_, timers_, limits_);
}

void ClientPool::give_back(std::shared_ptr<ClientConnection> connection) {
  if (connection->reusable() && now() - connection->opened_at_ < max_age_) return keep(std::move(connection));
  connection->abort();
  none_idle(connection->key_);
}

void ClientPool::add_idle(std::shared_ptr<ClientConnection> connection) { keep(std::move(connection)); }

void ClientPool::keep(std::shared_ptr<ClientConnection> connection) {
  auto& idle = idle_[connection->key_].connections;
  if (idle.size() >= kMaxIdlePerOrigin) {
    connection->abort();
    return;
  }
  ClientConnection* const raw = connection.get();
  connection->make_idle([this, raw] { forget(raw); });
  idle.push_back(std::move(connection));
  if (!sweeper_.armed()) sweeper_.arm(now() + kMaxIdleTime);
}

void ClientPool::none_idle(const std::string& key) const {
  if (on_none_idle_ && idle_count(key) == 0) on_none_idle_(key);
}

void ClientPool::forget(const ClientConnection* connection) {
  const auto found = idle_.find(connection->key_);
  if (found == idle_.end()) return;
  auto& connections = found->second.connections;
  for (auto& kept : connections) {
    if (kept.get() != connection) continue;
    const std::shared_ptr<ClientConnection> gone = std::move(kept);
    kept = std::move(connections.back());
    connections.pop_back();
    gone->make_busy();
    gone->abort();
    none_idle(gone->key_);
    return;
  }
}

void ClientPool::sweep() {
  const TimePoint oldest = now() - kMaxIdleTime;
  bool any = false;
  for (auto& [key, idle] : idle_) {
    const std::size_t swept = std::erase_if(idle.connections, [&](const std::shared_ptr<ClientConnection>& connection) {
      if (connection->idle_since_ > oldest) return false;
      connection->make_busy();
      connection->abort();
      return true;
    });
    any = any || !idle.connections.empty();
    if (swept > 0) none_idle(key);
  }
  if (any) sweeper_.arm(now() + kMaxIdleTime / 4);
}

void ClientPool::clear() {
  for (auto& [key, idle] : idle_) {
    for (auto& connection : idle.connections) {
      connection->make_busy();
      connection->abort();
    }
  }
  idle_.clear();
}

std::size_t ClientPool::idle_count() const {
  std::size_t count = 0;
  for (const auto& [key, idle] : idle_) count += idle.connections.size();
  return count;
}

std::size_t ClientPool::idle_count(const std::string& key) const {
  const auto found = idle_.find(key);
  return found == idle_.end() ? 0 : found->second.connections.size();
}

TimePoint ClientPool::last_taken(const std::string& key) const {
  const auto found = idle_.find(key);
  return found == idle_.end() ? TimePoint{} : found->second.taken_at;
}

}  // namespace spillway::http
