// Writes one response after the other on a server's connection.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/loop_timers.h"
#include "http/message.h"
#include "http/stream.h"

namespace spillway::http {

// For each request: one send(), or begin_stream(), any number of write_chunk(), and end_stream().
// Functions that write return false when the client is gone or takes nothing for the write
// time-out; then nothing more has to be written. One thread.
class ResponseWriter {
 public:
  ResponseWriter(Stream& stream, LoopTimers& timers);

  // Called by the connection before each request.
  void begin(const Request& request, bool close_after, milliseconds write_timeout);

  // A header field for this response; before send() or begin_stream(). A name or value with CR, LF
  // or NUL is left out.
  void add_header(std::string_view name, std::string_view value);

  // Further fields as rendered lines, each with its CRLF; the caller vouches for them.
  void add_rendered(std::string_view lines) { extra_ += lines; }

  // The whole response. A HEAD request gets only the header.
  Task<bool> send(int status, std::string_view content_type, std::string_view body);

  // The header of a response whose length is not known; chunked, or until the end of the
  // connection for HTTP/1.0. It goes out with the first chunk.
  void begin_stream(int status, std::string_view content_type);
  // One piece of the body, as one chunk. Sends the header too when that is still to go.
  Task<bool> write_chunk(std::string_view data);
  // The end, with `last` as one more piece before it, in one write.
  Task<bool> end_stream(std::string_view last = {});

  // A small piece of the body right now, without waiting: for keep-alive comments while somebody
  // else's Task may be waiting. What the socket does not take goes before the next chunk.
  void poke(std::string_view data);

  // The response cannot be ended properly: the connection is reset after this request, so that the
  // client cannot take a cut answer for a whole one.
  void spoil() { spoiled_ = true; }
  // No further request after this response.
  void close_after() { close_after_ = true; }

  [[nodiscard]] bool begun() const { return begun_; }
  [[nodiscard]] bool streaming() const { return streaming_; }
  // Everything written, and the connection can go on.
  [[nodiscard]] bool reusable() const { return finished_ && !close_after_ && !failed_ && !spoiled_; }
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool spoiled() const { return spoiled_; }
  [[nodiscard]] int status() const { return status_; }
  // Bytes of body that were handed to the socket.
  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }

 private:
  void render_head(int status, std::string_view content_type);
  // As those of Stream; false: the client is gone.
  std::optional<bool> try_write(std::span<asio::const_buffer>& buffers);
  Task<bool> write(std::span<asio::const_buffer> buffers);

  Stream& stream_;
  LoopTimers::Entry timer_;
  milliseconds write_timeout_{60'000};
  std::string extra_;    // fields added by add_header()
  std::string head_;     // what goes out before the next piece of body
  std::string pending_;  // of poke(), not taken yet
  std::uint64_t body_bytes_ = 0;
  int status_ = 0;
  bool close_after_ = false;
  bool http_1_0_ = false;
  bool head_only_ = false;
  bool begun_ = false;
  bool streaming_ = false;
  bool finished_ = false;
  bool failed_ = false;
  bool spoiled_ = false;
  bool writing_ = false;
};

}  // namespace spillway::http
