#include "http/parser.h"

#include <cstring>

namespace spillway::http {

namespace {

constexpr std::string_view kTooLarge = "the header is larger than limits.max_header";

// llhttp passes folded lines, and lines that end in a bare LF in places; both are how requests get
// smuggled (RFC 9112, 2.2 and 5.2), so every line of a head has to end in CRLF, and none may begin
// with white space. `head` ends behind the empty line.
bool lines_are_plain(std::string_view head) {
  std::size_t at = 0;
  while (at < head.size()) {
    const void* found = std::memchr(head.data() + at, '\n', head.size() - at);
    if (found == nullptr) return false;
    const auto lf = static_cast<std::size_t>(static_cast<const char*>(found) - head.data());
    if (lf == 0 || head[lf - 1] != '\r') return false;
    const std::string_view line = head.substr(at, lf - 1 - at);
    if (std::memchr(line.data(), '\r', line.size()) != nullptr) return false;
    if (!line.empty() && (line.front() == ' ' || line.front() == '\t')) return false;
    at = lf + 1;
  }
  return true;
}

// A field value may hold visible characters, bytes from 0x80, spaces and tabs (RFC 9110, 5.5).
bool value_is_clean(std::string_view value) {
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7F) return false;
  }
  return true;
}

// name [":" port], or a bracketed IPv6 address in place of the name (RFC 9110, 7.2).
bool host_is_clean(std::string_view host) {
  std::size_t name_end = host.find(':');
  if (host.starts_with('[')) {
    const std::size_t close = host.find(']');
    if (close == std::string_view::npos) return false;
    name_end = close + 1 == host.size() ? std::string_view::npos : close + 1;
    if (name_end != std::string_view::npos && host[name_end] != ':') return false;
  }
  const std::string_view name = host.substr(0, name_end);
  const std::string_view port = name_end == std::string_view::npos ? std::string_view() : host.substr(name_end + 1);
  if (name.empty() || port.find_first_not_of("0123456789") != std::string_view::npos) return false;
  for (const char c : name) {
    const bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
                      c == '-' || c == '_' || c == ':' || c == '[' || c == ']' || c == '%' || c == '~';
    if (!good) return false;
  }
  return true;
}

// RFC 9112, 6.3: these end with their header, whatever it says of a length.
bool may_have_body(unsigned status) { return status >= 200 && status != 204 && status != 304; }

Method method_of(unsigned method) {
  switch (method) {
    case HTTP_GET: return Method::kGet;
    case HTTP_HEAD: return Method::kHead;
    case HTTP_POST: return Method::kPost;
    case HTTP_PUT: return Method::kPut;
    case HTTP_DELETE: return Method::kDelete;
    case HTTP_OPTIONS: return Method::kOptions;
    case HTTP_PATCH: return Method::kPatch;
    default: return Method::kOther;
  }
}

ParseFailure failure_of(llhttp_errno_t error) {
  switch (error) {
    case HPE_INVALID_METHOD: return {400, "the request line does not begin with an HTTP method"};
    case HPE_INVALID_URL: return {400, "the request target is malformed"};
    case HPE_INVALID_VERSION: return {505, "only HTTP/1.1 and HTTP/1.0 are spoken here"};
    case HPE_PAUSED_H2_UPGRADE: return {505, "HTTP/2 is not spoken here"};
    case HPE_INVALID_HEADER_TOKEN: return {400, "a header field is malformed"};
    case HPE_UNEXPECTED_CONTENT_LENGTH: return {400, "Content-Length is doubled or stands beside Transfer-Encoding"};
    case HPE_INVALID_CONTENT_LENGTH: return {400, "Content-Length is not a number"};
    case HPE_INVALID_TRANSFER_ENCODING: return {400, "Transfer-Encoding is not \"chunked\""};
    case HPE_INVALID_CHUNK_SIZE: return {400, "a chunk's size is malformed"};
    case HPE_CR_EXPECTED:
    case HPE_LF_EXPECTED:
    case HPE_STRICT: return {400, "a line does not end in CRLF"};
    case HPE_CLOSED_CONNECTION: return {400, "bytes after the last message of the connection"};
    case HPE_INVALID_EOF_STATE: return {400, "the connection ended within a message"};
    case HPE_INVALID_STATUS: return {400, "the status line is malformed"};
    default: return {400, "the message is malformed"};
  }
}

}  // namespace

MessageParser::MessageParser(llhttp_type_t type, ParserLimits limits) : limits_(limits) {
  llhttp_init(&parser_, type, &settings());
  parser_.data = this;
  fields_.reserve(24);
}

const llhttp_settings_t& MessageParser::settings() {
  static const llhttp_settings_t instance = [] {
    llhttp_settings_t s;
    llhttp_settings_init(&s);
    s.on_url = s.on_status = [](llhttp_t* p, const char* at, std::size_t n) { return self(p).on_start(at, n); };
    s.on_header_field = [](llhttp_t* p, const char* at, std::size_t n) { return self(p).on_field(at, n); };
    s.on_header_value = [](llhttp_t* p, const char* at, std::size_t n) { return self(p).on_value(at, n); };
    s.on_header_value_complete = [](llhttp_t* p) { return self(p).on_value_complete(); };
    s.on_headers_complete = [](llhttp_t* p) { return self(p).on_headers_complete(); };
    s.on_body = [](llhttp_t* p, const char* at, std::size_t n) { return self(p).on_body(at, n); };
    s.on_message_complete = [](llhttp_t* p) {
      self(p).complete_ = true;
      return static_cast<int>(HPE_PAUSED);
    };
    return s;
  }();
  return instance;
}

void MessageParser::reset() {
  llhttp_reset(&parser_);
  start_line_ = {};
  fields_.clear();
  consumed_ = head_end_ = body_begin_ = body_end_ = 0;
  content_length_ = fed_ = framing_at_ = 0;
  failure_ = {};
  head_done_ = complete_ = keep_alive_ = value_begun_ = false;
}

bool MessageParser::fail(int status, std::string_view what) {
  failure_ = {status, what};
  return false;
}

ParseStatus MessageParser::feed(ByteBuffer& buffer) {
  base_ = buffer.data();
  if (buffer.end() == consumed_) return ParseStatus::kNeedMore;
  from_ = base_ + consumed_;
  const llhttp_errno_t error = llhttp_execute(&parser_, from_, buffer.end() - consumed_);
  if (error == HPE_PAUSED && complete_) {
    const char* const end = llhttp_get_error_pos(&parser_);
    consumed_ = static_cast<std::size_t>(end - base_);
    return framing_fits(fed_ + static_cast<std::size_t>(end - from_)) ? ParseStatus::kComplete : ParseStatus::kError;
  }
  if (error != HPE_OK) {
    if (failure_.what.empty()) failure_ = failure_of(error);
    return ParseStatus::kError;
  }
  fed_ += buffer.end() - consumed_;
  consumed_ = buffer.end();
  // The CR of the empty line may be there, which does not count.
  if (!head_done_ && consumed_ > limits_.max_header + 1) {
    fail(431, kTooLarge);
    return ParseStatus::kError;
  }
  if (!framing_fits(fed_)) return ParseStatus::kError;
  if (body_end_ > body_begin_ && consumed_ > body_end_) {
    // Framing behind the body so far: it was parsed, and one-byte chunks must not fill the memory.
    buffer.truncate(body_end_);
    consumed_ = body_end_;
  }
  return ParseStatus::kNeedMore;
}

bool MessageParser::framing_fits(std::uint64_t position) {
  if (!head_done_ || position - framing_at_ <= limits_.max_header) return true;
  return fail(431, "a chunk's framing or the trailers are larger than limits.max_header");
}

int MessageParser::extend(Span& span, const char* at, std::size_t length) {
  const auto offset = static_cast<std::uint32_t>(at - base_);
  if (span.length == 0) {
    span = {offset, static_cast<std::uint32_t>(length)};
  } else if (span.at + span.length == offset) {
    span.length += static_cast<std::uint32_t>(length);
  } else {
    fail(400, "a header field is folded over lines");
    return -1;
  }
  return 0;
}

int MessageParser::on_start(const char* at, std::size_t length) { return extend(start_line_, at, length); }

int MessageParser::on_field(const char* at, std::size_t length) {
  if (head_done_) return 0;  // a trailer
  if (fields_.empty() || value_begun_) {
    if (fields_.size() == limits_.max_fields) {
      fail(431, "there are too many header fields");
      return -1;
    }
    fields_.emplace_back();
    value_begun_ = false;
  }
  return extend(fields_.back().first, at, length);
}

int MessageParser::on_value(const char* at, std::size_t length) {
  if (head_done_) return 0;
  if (fields_.empty()) {
    fail(400, "a header field has no name");
    return -1;
  }
  value_begun_ = true;
  if (length == 0) return 0;
  return extend(fields_.back().second, at, length);
}

int MessageParser::on_value_complete() {
  if (!head_done_) value_begun_ = true;
  return 0;
}

int MessageParser::on_headers_complete() {
  // llhttp calls this on the LF of the empty line.
  head_done_ = true;
  const auto* end = fields_.empty() ? base_ + start_line_.at + start_line_.length
                                    : base_ + fields_.back().first.at + fields_.back().first.length;
  if (!fields_.empty() && fields_.back().second.length > 0) {
    end = base_ + fields_.back().second.at + fields_.back().second.length;
  }
  // Behind the last value there is white space, the end of its line, and the empty line.
  while (*end != '\n') ++end;
  head_end_ = static_cast<std::size_t>(end - base_) + 1;
  if (base_[head_end_] != '\r') {
    fail(400, "a line does not end in CRLF, or is folded");
    return -1;
  }
  parser_.upgrade = 0;  // an Upgrade is not taken; the message goes on as HTTP/1.1 (RFC 9110, 7.8)
  if (head_end_ > limits_.max_header) {
    fail(431, kTooLarge);
    return -1;
  }
  if (parser_.content_length > limits_.max_body && (parser_.flags & F_CONTENT_LENGTH) != 0) {
    content_length_ = parser_.content_length;
    fail(413, "the body is larger than limits.max_body");
    return -1;
  }
  if (!check_head({base_, head_end_})) return -1;
  framing_at_ = fed_ + static_cast<std::size_t>(base_ + head_end_ + 2 - from_);
  keep_alive_ = llhttp_should_keep_alive(&parser_) != 0;
  if (parser_.type == HTTP_RESPONSE && !may_have_body(parser_.status_code)) return 1;  // llhttp goes by Content-Length
  if ((parser_.flags & F_CONTENT_LENGTH) != 0) content_length_ = parser_.content_length;
  return 0;
}

int MessageParser::on_body(const char* at, std::size_t length) {
  const auto offset = static_cast<std::size_t>(at - base_);
  const std::uint64_t position = fed_ + static_cast<std::size_t>(at - from_);
  if (!framing_fits(position)) return -1;
  framing_at_ = position + length;
  if (body_end_ - body_begin_ + length > limits_.max_body) {
    fail(413, "the body is larger than limits.max_body");
    return -1;
  }
  if (body_end_ == body_begin_) {
    body_begin_ = body_end_ = offset;
  } else if (body_end_ != offset) {
    // Chunk framing lay between: close the gap, in place. What is overwritten was parsed already.
    std::memmove(base_ + body_end_, at, length);
  }
  body_end_ += length;
  return 0;
}

void MessageParser::read_headers(const ByteBuffer& buffer, Headers& headers) const {
  headers.clear();
  headers.reserve(fields_.size());
  for (const auto& [name, value] : fields_) {
    std::string_view text(buffer.data() + value.at, value.length);
    headers.add({buffer.data() + name.at, name.length}, trim(text));
  }
}

void MessageParser::consume_body(ByteBuffer& buffer, std::size_t bytes) {
  body_begin_ += bytes;
  const std::size_t left = body_end_ - body_begin_;
  if (complete_) return;
  // Everything in the buffer was parsed: what is left of the body is all that has to stay.
  if (left == 0) {
    buffer.truncate(0);
    body_begin_ = body_end_ = consumed_ = 0;
    return;
  }
  buffer.truncate(body_end_);
  // Not for each few bytes of a full buffer: they would move all that is behind them.
  constexpr std::size_t kRoom = 4096;
  if (body_begin_ >= left || (body_begin_ >= kRoom && buffer.capacity() - buffer.end() < kRoom)) {
    buffer.drop_front(body_begin_);
    body_begin_ = 0;
    body_end_ = left;
  }
  consumed_ = buffer.end();
}

bool RequestParser::check_head(std::string_view head) {
  expects_continue_ = false;
  if (parser_.http_major != 1 || parser_.http_minor > 1) return fail(505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
  if (!lines_are_plain(head)) return fail(400, "a line does not end in CRLF, or is folded");
  // llhttp skips any number of blanks there (RFC 9112, 3: one).
  if (start_line_.at >= 2 && head[start_line_.at - 2] == ' ')
    return fail(400, "the request line holds more than one space in a row");
  // llhttp takes RTSP and ICE too.
  if (!head.substr(start_line_.at + start_line_.length).starts_with(" HTTP/")) {
    return fail(400, "the request line does not end in an HTTP version");
  }
  if (parser_.method == HTTP_CONNECT || parser_.method == HTTP_TRACE)
    return fail(405, "CONNECT and TRACE are not known here");
  const std::string_view target = view(start_line_);
  if (target.empty() || (target.front() != '/' && !(target == "*" && parser_.method == HTTP_OPTIONS))) {
    return fail(400, "the request target has to begin with a slash");
  }
  if (!value_is_clean(target) || target.find('#') != std::string_view::npos) {
    return fail(400, "the request target is malformed");
  }
  int hosts = 0;
  int lengths = 0;
  int encodings = 0;
  for (const auto& [name_span, value_span] : fields_) {
    const std::string_view name = view(name_span);
    const std::string_view value = trim(view(value_span));
    if (name.empty()) return fail(400, "a header field has no name");
    if (!value_is_clean(value)) return fail(400, "a header field holds control characters");
    switch (name.size()) {
      case 4:
        if (equals_ignore_case(name, "host")) {
          ++hosts;
          if (!host_is_clean(value)) return fail(400, "the Host field is malformed");
        }
        break;
      case 6:
        if (equals_ignore_case(name, "expect")) {
          if (!equals_ignore_case(value, "100-continue")) return fail(417, "this expectation cannot be met");
          expects_continue_ = parser_.http_minor == 1;
        }
        break;
      case 14:
        if (equals_ignore_case(name, "content-length")) {
          ++lengths;
          if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos) {
            return fail(400, "Content-Length is not a number");
          }
        }
        break;
      case 17:
        if (equals_ignore_case(name, "transfer-encoding")) {
          ++encodings;
          if (!equals_ignore_case(value, "chunked")) return fail(501, "Transfer-Encoding is not \"chunked\"");
        }
        break;
      default: break;
    }
  }
  if (hosts > 1) return fail(400, "there is more than one Host field");
  if (hosts == 0 && parser_.http_minor == 1) return fail(400, "the Host field is missing");
  if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0)) {
    return fail(400, "the body's length is told in two ways");
  }
  if (encodings > 0 && parser_.http_minor == 0) return fail(400, "HTTP/1.0 has no Transfer-Encoding");
  return true;
}

void RequestParser::read(const ByteBuffer& buffer, Request& request) const {
  request.method = method_of(parser_.method);
  request.target = {buffer.data() + start_line_.at, start_line_.length};
  request.path = request.target.substr(0, request.target.find('?'));
  read_headers(buffer, request.headers);
  request.body = buffer.view(body_begin(), body_end());
  request.keep_alive = keep_alive();
  request.http_1_0 = parser_.http_minor == 0;
}

ParseStatus ResponseParser::finish() {
  const llhttp_errno_t error = llhttp_finish(&parser_);
  if (complete()) return ParseStatus::kComplete;
  fail(502, error == HPE_OK ? "the connection ended before the answer" : "the connection ended within the answer");
  return ParseStatus::kError;
}

bool ResponseParser::check_head(std::string_view head) {
  if (parser_.http_major != 1) return fail(502, "the answer is not HTTP/1.1");
  if (parser_.status_code < 100) return fail(502, "the answer's status is malformed");
  if (!lines_are_plain(head)) return fail(502, "a line of the answer does not end in CRLF, or is folded");
  int lengths = 0;
  int encodings = 0;
  for (const auto& [name_span, value_span] : fields_) {
    const std::string_view name = view(name_span);
    if (equals_ignore_case(name, "content-length")) ++lengths;
    if (equals_ignore_case(name, "transfer-encoding")) {
      ++encodings;
      if (!equals_ignore_case(trim(view(value_span)), "chunked"))
        return fail(502, "the answer's transfer coding is not known");
    }
  }
  if (lengths > 1 || encodings > 1 || (lengths > 0 && encodings > 0)) {
    return fail(502, "the answer's length is told in two ways");
  }
  return true;
}

}  // namespace spillway::http
