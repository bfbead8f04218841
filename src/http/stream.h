// One connection's bytes, over TCP or TLS, as both the server and the client use them.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl.hpp>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/byte_buffer.h"
#include "base/event.h"
#include "base/loop.h"
#include "http/tls.h"

namespace spillway::http {

using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;

// At most one read and one write are under way at any time. Held by shared_ptr, since a read that
// is under way keeps the Stream alive. One thread.
//
// Reading is split in two, start_read() and wait_read(): a read can stay pending while its owner
// does something else, which is how a client that leaves, an upstream that closes an idle connection or
// answers before it has the whole request, is noticed at once and without a system call of its own.
class Stream : public std::enable_shared_from_this<Stream> {
 public:
  static constexpr std::size_t kMinRoom = 2048;      // bytes; a read is never smaller
  static constexpr std::size_t kIdleBuffer = 16384;  // bytes; an idle connection gives larger buffers back

  explicit Stream(Socket socket);

  // TCP_NODELAY and non-blocking mode; before the first use of a connected socket.
  void prepare();

  // Wraps the connection in TLS as a client and shakes hands; `host` goes out as SNI and is what
  // the certificate has to be for (RFC 6066, RFC 9525). Goes on with an earlier session where there is one.
  Task<ErrorStatus> start_tls(std::shared_ptr<asio::ssl::context> context, std::string host,
                              std::shared_ptr<TlsSessions> sessions);
  // The same as a server.
  Task<ErrorStatus> accept_tls(std::shared_ptr<asio::ssl::context> context);
  // The end of a TLS connection, so that what was sent cannot be taken for cut (RFC 8446, 6.1). Nothing without TLS.
  Task<> end_tls();
  // After start_tls() failed with `status`: why, for people.
  [[nodiscard]] std::string tls_failure(const ErrorStatus& status) const;

  // What was read and not yet used. It lives here because a read that was cancelled may still end
  // after its owner has gone (TLS decrypts into it), and must not be grown or moved while reading().
  [[nodiscard]] ByteBuffer& input() { return input_; }
  [[nodiscard]] const ByteBuffer& input() const { return input_; }
  // Starts to read into input()'s spare room, unless a read is under way. Makes room when there is
  // less than kMinRoom.
  void start_read();
  // The same into the room that there is, without moving what lies in input(). False: there is none.
  bool start_read_in_place();
  // Waits for the read that was started. The status says how it went; the bytes are in the buffer.
  Task<ErrorStatus> wait_read();
  // The same with fewer coroutine frames, only while reading(); then see read_status().
  Task<> read_end() {
    waiting_ = true;
    return readable_.suspend();
  }
  [[nodiscard]] bool reading() const { return reading_; }
  // How the last read ended; success while one is under way.
  [[nodiscard]] const ErrorStatus& read_status() const { return read_status_; }

  // What to call when a read ends while nobody waits for it: see read_status() for whether bytes came or the other
  // side left.
  void on_read(std::function<void()> callback) { on_read_ = std::move(callback); }

  // Ends the read and the write that are under way, each with operation_aborted.
  void cancel();

  // Writes what the kernel takes at once, which is mostly everything: no coroutine is needed then.
  // Nothing: it did not take all; `buffers` is what is left, for write().
  std::optional<ErrorStatus> try_write(std::span<asio::const_buffer>& buffers);
  // Writes all of it. `buffers` is changed. What it points to has to stay until the end.
  Task<ErrorStatus> write(std::span<asio::const_buffer> buffers);

  // Ends both directions; what is under way ends with operation_aborted. Idempotent.
  void close();
  // As close(), but with a TCP reset, so that the other side cannot take what it got for whole.
  void reset();
  [[nodiscard]] bool closed() const { return closed_; }
  // Ends our direction only.
  void shutdown_send();

  [[nodiscard]] Socket& socket() { return tls_ ? tls_->next_layer() : *socket_; }
  [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }

 private:
  void begin_read();
  void read_ended(const ErrorStatus& ec, std::size_t bytes);

  std::optional<Socket> socket_;  // empty once TLS has taken it
  std::shared_ptr<asio::ssl::context> context_;
  std::unique_ptr<asio::ssl::stream<Socket>> tls_;
  ByteBuffer input_;
  Event readable_;
  std::function<void()> on_read_;
  ErrorStatus read_status_;
  bool reading_ = false;
  bool waiting_ = false;
  bool closed_ = false;
};

}  // namespace spillway::http
