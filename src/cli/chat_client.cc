#include "cli/chat_client.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "api/format.h"
#include "attempt/events.h"
#include "base/json_text.h"
#include "base/time.h"
#include "cli/signal_mask.h"
#include "http/client.h"

namespace spillway::cli {

namespace {

constexpr milliseconds kAliveTime{500};
constexpr seconds kConnectTime{5};
constexpr seconds kLongestAnswer{600};  // the gateway's own limits end it sooner

std::string body_of(const ChatQuestion& question) {
  std::string out = "{\"model\":";
  json::append_string(out, question.model);
  out += ",\"messages\":[";
  for (const Turn& turn : question.turns) {
    out += out.back() == '[' ? "{\"role\":" : ",{\"role\":";
    json::append_string(out, turn.role);
    out += ",\"content\":";
    json::append_string(out, turn.text);
    out += "}";
  }
  out += R"(],"stream":true,"stream_options":{"include_usage":true})";
  if (question.max_tokens >= 0) out += ",\"max_tokens\":" + std::to_string(question.max_tokens);
  return out + "}";
}

// One question on a connection of its own.
class Asking {
 public:
  Asking(asio::io_context& loop, const http::Url& gateway, const ChatListener& listener)
      : timers_(loop), resolver_(loop, timers_), listener_(listener) {
    origin_.url = gateway;
    connection_ = std::make_shared<http::ClientConnection>(loop, timers_, http::ParserLimits{});
  }

  void stop() {
    answer_.stopped = true;
    connection_->abort();
  }

  Task<Result<ChatAnswer>> run(std::string body) {
    if (co_await connection_->open(origin_, resolver_, now() + kConnectTime) != http::ClientStatus::kOk)
      co_return failed(connection_->failure());
    const std::string request =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: " + origin_.url.authority() +
        "\r\nContent-Type: application/json\r\nUser-Agent: spillway-run\r\nConnection: close\r\n"
        "Content-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
    std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
    const TimePoint until = now() + kLongestAnswer;
    sent_at_ = now();
    http::ClientStatus status = co_await connection_->send(buffers, until);
    while (status == http::ClientStatus::kOk && !connection_->head_done())
      status = co_await connection_->receive(until);
    if (!connection_->head_done()) co_return ended(connection_->failure());
    http::Headers headers;
    connection_->read_headers(headers);
    answer_.backend = headers.get("x-spillway-backend");
    if (connection_->status() != 200) {
      while (status == http::ClientStatus::kOk) status = co_await connection_->receive(until);
      const std::string message = api::read_error(connection_->body()).message;
      co_return failed(message.empty() ? "it answered " + std::to_string(connection_->status()) : message);
    }
    for (;;) {
      take_events();
      if (done_ || !failure_.empty() || status != http::ClientStatus::kOk) break;
      status = co_await connection_->receive(until);
    }
    if (!failure_.empty()) co_return failed(failure_);
    if (!done_) co_return ended("the answer was cut: " + connection_->failure());
    co_return finished();
  }

 private:
  // The answer as far as it came, where it was stopped.
  Result<ChatAnswer> ended(const std::string& why) {
    if (answer_.stopped) return finished();
    return failed(why);
  }
  static Error failed(const std::string& why) { return {ErrorCode::kUnavailable, why, {}}; }

  ChatAnswer finished() {
    if (answer_.tokens == 0) answer_.tokens = pieces_;
    const double seconds = to_ms(last_at_ - first_at_) / 1e3;
    if (answer_.tokens > 1 && seconds > 0)
      answer_.tokens_per_second = static_cast<double>(answer_.tokens - 1) / seconds;
    return answer_;
  }

  void take_events() {
    while (const std::size_t length = scanner_.next(connection_->body())) {
      const std::string_view event = connection_->body().substr(0, length);
      const http::SseEvent fields = scanner_.parse(event, scratch_);
      answer_.resumed |= event.starts_with(": spillway") && event.find("\"resume\"") != std::string_view::npos;
      if (fields.has_data) take(fields.data);
      connection_->consume_body(length);
    }
  }

  void take(std::string_view data) {
    parts_.clear();
    const api::Chunk chunk = reader_->read({}, data, facts_, &parts_);
    if (chunk.kind == api::Chunk::Kind::kDone) done_ = true;
    if (chunk.kind == api::Chunk::Kind::kError)
      failure_ = chunk.error.message.empty() ? "an error" : chunk.error.message;
    if (chunk.kind != api::Chunk::Kind::kChunk) return;
    for (const api::Part& part : parts_) {
      const std::string text = json::unescaped(part.text);
      if (part.kind == api::PartKind::kStart && !part.name.empty()) answer_.model = json::unescaped(part.name);
      if (part.kind == api::PartKind::kUsage && part.usage.output > 0) answer_.tokens = part.usage.output;
      if (part.kind != api::PartKind::kText && part.kind != api::PartKind::kReasoning) continue;
      last_at_ = now();
      if (pieces_++ == 0) {
        first_at_ = last_at_;
        answer_.first_token_ms = to_ms(first_at_ - sent_at_);
      }
      if (part.kind == api::PartKind::kText) {
        answer_.text += text;
        listener_.on_text(text);
      } else {
        listener_.on_reasoning(text);
      }
    }
  }

  LoopTimers timers_;
  http::Resolver resolver_;
  const ChatListener& listener_;
  http::Origin origin_;
  std::shared_ptr<http::ClientConnection> connection_;
  const api::Format& format_ = api::format_of(api::Endpoint::kChat);
  std::unique_ptr<api::EventReader> reader_ = format_.reader();
  attempt::EventScanner scanner_{api::Framing::kSse};
  api::StreamFacts facts_;
  api::Parts parts_;
  std::string scratch_;
  ChatAnswer answer_;
  std::string failure_;
  std::int64_t pieces_ = 0;
  TimePoint sent_at_{};
  TimePoint first_at_{};
  TimePoint last_at_{};
  bool done_ = false;
};

Task<> into(Task<Result<ChatAnswer>> asked, Result<ChatAnswer>& out) { out = co_await std::move(asked); }

Task<> look(std::shared_ptr<http::ClientConnection> connection, http::Origin origin, http::Resolver& resolver,
            bool& alive) {
  const TimePoint until = now() + kAliveTime;
  if (co_await connection->open(origin, resolver, until) != http::ClientStatus::kOk) co_return;
  const std::string request =
      "GET /healthz HTTP/1.1\r\nHost: " + origin.url.authority() + "\r\nConnection: close\r\n\r\n";
  std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
  http::ClientStatus status = co_await connection->send(buffers, until);
  while (status == http::ClientStatus::kOk) status = co_await connection->receive(until);
  alive = status == http::ClientStatus::kComplete && connection->status() == 200;
}

}  // namespace

Result<ChatAnswer> ask_gateway(const http::Url& gateway, const ChatQuestion& question, const ChatListener& listener) {
  asio::io_context loop(1);
  Asking asking(loop, gateway, listener);
  asio::signal_set signals(loop, SIGINT);
  signals.async_wait([&asking](const ErrorStatus& ec, int) {
    if (!ec) asking.stop();
  });
  Result<ChatAnswer> answer = Error{ErrorCode::kInternal, "the question failed by an exception", {}};
  asio::co_spawn(loop, into(asking.run(body_of(question)), answer),
                 [&loop](const std::exception_ptr&) { loop.stop(); });
  const SignalMask answering(SignalMask::To::kUnblock, SIGINT);
  loop.run();
  return answer;
}

bool is_alive(const http::Url& gateway) {
  asio::io_context loop(1);
  LoopTimers timers(loop);
  http::Resolver resolver(loop, timers);
  http::Origin origin;
  origin.url = gateway;
  bool alive = false;
  auto connection = std::make_shared<http::ClientConnection>(loop, timers, http::ParserLimits{});
  asio::co_spawn(loop, look(connection, origin, resolver, alive), [&loop](const std::exception_ptr&) { loop.stop(); });
  loop.run();
  return alive;
}

}  // namespace spillway::cli
