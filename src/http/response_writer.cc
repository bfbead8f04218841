#include "http/response_writer.h"

#include <array>
#include <charconv>
#include <ctime>

namespace spillway::http {

namespace {

// The Date field (RFC 9110, 6.6.1), made once a second for each thread.
std::string_view date() {
  thread_local std::time_t made = 0;
  thread_local char text[40];
  thread_local std::size_t length = 0;
  const std::time_t at = std::time(nullptr);
  if (at != made) {
    std::tm parts{};
    gmtime_r(&at, &parts);
    length = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
    made = at;
  }
  return {text, length};
}

void append_number(std::string& out, std::uint64_t value, int base) {
  char digits[24];
  const auto end = std::to_chars(digits, digits + sizeof digits, value, base).ptr;
  out.append(digits, static_cast<std::size_t>(end - digits));
}

bool unsafe(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos;
}

asio::const_buffer buffer(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

ResponseWriter::ResponseWriter(Stream& stream, LoopTimers& timers)
    : stream_(stream), timer_(timers, [this] { stream_.reset(); }) {}

void ResponseWriter::begin(const Request& request, bool close_after, milliseconds write_timeout) {
  write_timeout_ = write_timeout;
  extra_.clear();
  head_.clear();
  pending_.clear();
  body_bytes_ = 0;
  status_ = 0;
  close_after_ = close_after || !request.keep_alive;
  http_1_0_ = request.http_1_0;
  head_only_ = request.method == Method::kHead;
  begun_ = streaming_ = finished_ = failed_ = spoiled_ = writing_ = false;
}

void ResponseWriter::add_header(std::string_view name, std::string_view value) {
  if (unsafe(name) || unsafe(value)) return;
  extra_.append(name).append(": ").append(value).append("\r\n");
}

void ResponseWriter::render_head(int status, std::string_view content_type) {
  begun_ = true;
  status_ = status;
  head_ = "HTTP/1.1 ";
  append_number(head_, static_cast<std::uint64_t>(status), 10);
  head_.append(" ").append(reason_phrase(status)).append("\r\nDate: ").append(date()).append("\r\n");
  if (!content_type.empty()) head_.append("Content-Type: ").append(content_type).append("\r\n");
  head_.append(extra_);
}

Task<bool> ResponseWriter::send(int status, std::string_view content_type, std::string_view body) {
  render_head(status, content_type);
  if (status != 204) {  // which may not have one (RFC 9110, 8.6)
    head_ += "Content-Length: ";
    append_number(head_, body.size(), 10);
    head_ += "\r\n";
  }
  head_ += close_after_ ? "Connection: close\r\n\r\n" : http_1_0_ ? "Connection: keep-alive\r\n\r\n" : "\r\n";
  std::array<asio::const_buffer, 2> buffers{buffer(head_), buffer(head_only_ ? std::string_view() : body)};
  std::span<asio::const_buffer> left(buffers.data(), head_only_ || body.empty() ? 1 : 2);
  body_bytes_ = head_only_ ? 0 : body.size();
  finished_ = true;
  if (const auto done = try_write(left)) co_return *done;
  co_return co_await write(left);
}

void ResponseWriter::begin_stream(int status, std::string_view content_type) {
  if (http_1_0_) close_after_ = true;
  render_head(status, content_type);
  if (!http_1_0_) head_ += "Transfer-Encoding: chunked\r\n";
  head_ += close_after_ ? "Connection: close\r\n\r\n" : "\r\n";
  streaming_ = true;
}

Task<bool> ResponseWriter::write_chunk(std::string_view data) {
  if (data.empty()) co_return !failed_;
  if (!pending_.empty()) {
    head_.insert(0, pending_);
    pending_.clear();
  }
  body_bytes_ += data.size();
  if (!http_1_0_) {
    append_number(head_, data.size(), 16);
    head_ += "\r\n";
  }
  std::array<asio::const_buffer, 3> buffers{buffer(head_), buffer(data), buffer("\r\n")};
  std::span<asio::const_buffer> left(buffers);
  if (http_1_0_) left = left.subspan(head_.empty() ? 1 : 0, head_.empty() ? 1 : 2);
  const auto done = try_write(left);
  const bool sent = done ? *done : co_await write(left);
  head_.clear();
  co_return sent;
}

Task<bool> ResponseWriter::end_stream(std::string_view last) {
  finished_ = true;
  if (!pending_.empty()) {
    head_.insert(0, pending_);
    pending_.clear();
  }
  body_bytes_ += last.size();
  if (!http_1_0_) {
    if (!last.empty()) {
      append_number(head_, last.size(), 16);
      head_.append("\r\n").append(last).append("\r\n");
    }
    head_ += "0\r\n\r\n";
  } else {
    head_ += last;
  }
  if (head_.empty()) co_return !failed_;
  std::array<asio::const_buffer, 1> buffers{buffer(head_)};
  std::span<asio::const_buffer> left(buffers);
  const auto done = try_write(left);
  const bool sent = done ? *done : co_await write(left);
  head_.clear();
  co_return sent;
}

void ResponseWriter::poke(std::string_view data) {
  if (data.empty() || writing_ || failed_ || finished_ || stream_.is_tls()) return;  // an empty chunk ends a body
  body_bytes_ += data.size();
  pending_ += head_;
  head_.clear();
  if (!http_1_0_) {
    append_number(pending_, data.size(), 16);
    pending_.append("\r\n").append(data).append("\r\n");
  } else {
    pending_ += data;
  }
  ErrorStatus ec;
  const std::size_t taken = stream_.socket().write_some(asio::buffer(pending_), ec);
  pending_.erase(0, taken);
}

std::optional<bool> ResponseWriter::try_write(std::span<asio::const_buffer>& buffers) {
  if (failed_) return false;
  const auto done = stream_.try_write(buffers);
  if (!done) return std::nullopt;
  if (*done) failed_ = true;
  return !failed_;
}

Task<bool> ResponseWriter::write(std::span<asio::const_buffer> buffers) {
  writing_ = true;
  timer_.arm(now() + write_timeout_);
  const ErrorStatus ec = co_await stream_.write(buffers);
  timer_.disarm();
  writing_ = false;
  if (ec) failed_ = true;
  co_return !failed_;
}

}  // namespace spillway::http
