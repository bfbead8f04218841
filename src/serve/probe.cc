#include "serve/probe.h"

#include <boost/asio/co_spawn.hpp>

#include "api/format.h"
#include "base/json_text.h"
#include "http/client.h"

namespace spillway::serve {

namespace {

constexpr milliseconds kHealthTime{2'000};  // llama-server answers /health from its own thread at once
struct Answer {
  http::ClientStatus status = http::ClientStatus::kClosed;
  int code = 0;
  std::string body;
};

Error not_yet(std::string what) { return {ErrorCode::kUnavailable, std::move(what), {}}; }

Task<Answer> ask(std::shared_ptr<http::ClientConnection> connection, std::string request, TimePoint until) {
  Answer answer;
  std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
  answer.status = co_await connection->send(buffers, until);
  while (answer.status == http::ClientStatus::kOk) answer.status = co_await connection->receive(until);
  if (answer.status == http::ClientStatus::kComplete) {
    answer.code = connection->status();
    answer.body = connection->body();
    answer.body.append(ByteBuffer::kPadding, '\0');
  }
  co_return answer;
}

// One short completion, on a connection of its own.
Task<Status> complete(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, http::Origin origin,
                      fleet::ProbeRequest request) {
  const std::string host = "Host: " + origin.url.authority() + "\r\n";
  const std::string key = "Authorization: Bearer " + request.key + "\r\n";
  std::string body = "{\"model\":";
  json::append_string(body, request.model);
  body += R"(,"messages":[{"role":"user","content":"Hi"}],"max_tokens":1})";
  auto connection = std::make_shared<http::ClientConnection>(loop, timers, http::ParserLimits{});
  if (co_await connection->open(origin, resolver, now() + kHealthTime) != http::ClientStatus::kOk)
    co_return not_yet("it does not listen any more");
  const Answer answer = co_await ask(connection,
                                     "POST /v1/chat/completions HTTP/1.1\r\n" + host + key +
                                         "Content-Type: application/json\r\nConnection: close\r\nContent-Length: " +
                                         std::to_string(body.size()) + "\r\n\r\n" + body,
                                     now() + request.limit);
  connection->abort();
  if (answer.status != http::ClientStatus::kComplete) co_return not_yet("its first completion did not arrive");
  const std::string_view text = std::string_view(answer.body).substr(0, answer.body.size() - ByteBuffer::kPadding);
  if (answer.code == 503) co_return not_yet("it loads its model");
  if (answer.code != 200) {
    co_return Error{
        ErrorCode::kInternal,
        "its first completion was refused with " + std::to_string(answer.code) + ": " + api::read_error(text).message,
        {}};
  }
  if (api::format_of(api::Endpoint::kChat).read_answer(text, nullptr).kind != api::Answer::Kind::kGood) {
    co_return Error{ErrorCode::kInternal, "its first completion was empty or no chat completion", {}};
  }
  co_return Status();
}

Task<Status> probe(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, fleet::ProbeRequest request) {
  http::Origin origin;
  origin.url.host = "127.0.0.1";
  origin.url.port = request.port;
  const std::string host = "Host: " + origin.url.authority() + "\r\n";
  if (request.what == fleet::ProbeRequest::What::kCompletion)
    co_return co_await complete(loop, timers, resolver, origin, request);
  auto connection = std::make_shared<http::ClientConnection>(loop, timers, http::ParserLimits{});
  if (co_await connection->open(origin, resolver, now() + kHealthTime) != http::ClientStatus::kOk)
    co_return not_yet("it does not listen yet");
  const Answer health = co_await ask(
      connection, "GET " + request.health + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", now() + kHealthTime);
  connection->abort();
  if (health.code != 200) co_return not_yet("it loads its model");
  if (request.what == fleet::ProbeRequest::What::kHealth) co_return Status();
  co_return co_await complete(loop, timers, resolver, origin, request);
}

}  // namespace

fleet::Probe make_probe(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver) {
  return [&loop, &timers, &resolver](fleet::ProbeRequest request, std::function<void(Status)> done) {
    asio::co_spawn(
        loop, probe(loop, timers, resolver, std::move(request)),
        [done = std::move(done)](std::exception_ptr failure, Status status) {
          done(failure ? Status(Error{ErrorCode::kInternal, "the probe failed by an exception", {}}) : status);
        });
  };
}

}  // namespace spillway::serve
