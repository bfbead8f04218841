// HTTP/1.1 framing: llhttp in strict mode behind our own interface, with the checks and limits
// that llhttp does not have.
//
// A parser reads from a ByteBuffer and leaves everything in place: header fields are offsets into
// it, and a chunked body is moved together where it lies, so that a body is always one piece and
// never copied elsewhere.
#pragma once

#include <llhttp.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "base/byte_buffer.h"
#include "http/message.h"

namespace spillway::http {

struct ParserLimits {
  std::uint64_t max_header = 32u << 10;  // bytes of start line and header fields; of a chunk's framing, of trailers
  std::uint64_t max_body = 32u << 20;    // bytes, after chunks are put together
  std::uint32_t max_fields = 128;        // header fields
};

enum class ParseStatus {
  kNeedMore,  // feed again when there are more bytes
  kComplete,  // a whole message; bytes of the next one may lie behind consumed()
  kError,     // see failure(); the connection cannot go on
};

// Why a message was refused. `status` is what a server answers; `what` names the fault.
struct ParseFailure {
  int status = 400;
  std::string_view what;
};

// Shared by both directions; used through RequestParser and ResponseParser.
class MessageParser {
 public:
  MessageParser(const MessageParser&) = delete;
  MessageParser& operator=(const MessageParser&) = delete;

  // Ready for a message that begins at offset 0 of the buffer.
  void reset();

  // Parses what lies between consumed() and buffer.end(). The buffer may have grown or moved since
  // the last call, but what was parsed has to be unchanged. Chunk framing is taken out of the
  // buffer, so end() may be less afterwards.
  ParseStatus feed(ByteBuffer& buffer);

  [[nodiscard]] bool head_done() const { return head_done_; }
  [[nodiscard]] const ParseFailure& failure() const { return failure_; }
  [[nodiscard]] std::size_t consumed() const { return consumed_; }
  [[nodiscard]] std::size_t body_begin() const { return body_begin_; }
  [[nodiscard]] std::size_t body_end() const { return body_end_; }
  [[nodiscard]] bool keep_alive() const { return keep_alive_; }
  // Bytes that the sender announced; nothing where chunked or until the end of the connection.
  [[nodiscard]] std::uint64_t content_length() const { return content_length_; }

  // Fills `headers` with views into `buffer`; after head_done().
  void read_headers(const ByteBuffer& buffer, Headers& headers) const;

  // For bodies that are used up as they come: forgets the first `bytes` of the body (and the head
  // before it), so that the buffer does not grow. Only when everything fed so far was parsed.
  void consume_body(ByteBuffer& buffer, std::size_t bytes);

 protected:
  MessageParser(llhttp_type_t type, ParserLimits limits);
  ~MessageParser() = default;

  struct Span {
    std::uint32_t at = 0;
    std::uint32_t length = 0;
  };

  // Checks on the whole head that llhttp leaves out. False: failure_ says why.
  virtual bool check_head(std::string_view head) = 0;
  bool fail(int status, std::string_view what);
  [[nodiscard]] bool complete() const { return complete_; }

  [[nodiscard]] std::string_view view(Span span) const { return {base_ + span.at, span.length}; }

  llhttp_t parser_{};
  ParserLimits limits_;
  Span start_line_;  // a request's target, a response's reason
  std::vector<std::pair<Span, Span>> fields_;

 private:
  static const llhttp_settings_t& settings();
  static MessageParser& self(llhttp_t* parser) { return *static_cast<MessageParser*>(parser->data); }
  int on_start(const char* at, std::size_t length);
  int on_field(const char* at, std::size_t length);
  int on_value(const char* at, std::size_t length);
  int on_value_complete();
  int on_headers_complete();
  int on_body(const char* at, std::size_t length);
  int extend(Span& span, const char* at, std::size_t length);
  // The framing since the last byte of the body, up to `position`, is within limits.max_header.
  bool framing_fits(std::uint64_t position);

  char* base_ = nullptr;
  std::size_t consumed_ = 0;
  std::size_t head_end_ = 0;
  std::size_t body_begin_ = 0;
  std::size_t body_end_ = 0;
  std::uint64_t content_length_ = 0;
  const char* from_ = nullptr;    // where the bytes of this feed() begin
  std::uint64_t fed_ = 0;         // bytes of the message that came before them
  std::uint64_t framing_at_ = 0;  // in the message: behind its head, or its last byte of body
  ParseFailure failure_;
  bool head_done_ = false;
  bool complete_ = false;
  bool keep_alive_ = false;
  bool value_begun_ = false;
};

class RequestParser final : public MessageParser {
 public:
  explicit RequestParser(ParserLimits limits) : MessageParser(HTTP_REQUEST, limits) {}

  // The client waits for "100 Continue" before it sends the body (RFC 9110, 10.1.1).
  [[nodiscard]] bool expects_continue() const { return expects_continue_; }

  // After kComplete: fills `request` with views into `buffer`.
  void read(const ByteBuffer& buffer, Request& request) const;

 private:
  bool check_head(std::string_view head) override;

  bool expects_continue_ = false;
};

class ResponseParser final : public MessageParser {
 public:
  explicit ResponseParser(ParserLimits limits) : MessageParser(HTTP_RESPONSE, limits) {}

  [[nodiscard]] int status() const { return parser_.status_code; }

  // The connection ended. kComplete where that is how the body ends, else kError.
  ParseStatus finish();

 private:
  bool check_head(std::string_view head) override;
};

}  // namespace spillway::http
