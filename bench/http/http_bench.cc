// What every request and every relayed read costs in http/, without sockets.
#include <benchmark/benchmark.h>

#include <cstring>
#include <string>

#include "base/byte_buffer.h"
#include "http/parser.h"
#include "http/sse.h"

namespace spillway::http {
namespace {

constexpr std::string_view kRequestHead =
    "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nAccept: application/json\r\n"
    "Content-Type: application/json\r\nUser-Agent: OpenAI/Python 3.54.0\r\nAuthorization: Bearer sk-test\r\n"
    "X-Stainless-Lang: python\r\nX-Stainless-Package-Version: 3.54.0\r\nX-Stainless-Async: false\r\n";

constexpr std::string_view kResponseHead =
    "HTTP/1.1 200 OK\r\nDate: Tue, 24 Nov 2026 09:00:00 GMT\r\nContent-Type: application/json\r\n"
    "Server: provider\r\nX-Request-Id: 0123456789\r\nX-Ratelimit-Remaining-Requests: 99\r\n";

constexpr std::string_view kEvent =
    "data: "
    "{\"id\":\"chatcmpl-123\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"deepseek-flash\","
    "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n";

// Stands for the copy that a read from the socket makes; part of what is measured.
void fill(ByteBuffer& buffer, std::string_view text) {
  buffer.truncate(0);
  std::memcpy(buffer.prepare(text.size()).data(), text.data(), text.size());
  buffer.commit(text.size());
}

void parse_request(benchmark::State& state) {
  const std::string body(static_cast<std::size_t>(state.range(0)), 'x');
  const std::string text =
      std::string(kRequestHead) + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  ByteBuffer buffer;
  RequestParser parser{ParserLimits{}};
  Request request;
  for (auto _ : state) {
    fill(buffer, text);
    parser.reset();
    if (parser.feed(buffer) != ParseStatus::kComplete) return state.SkipWithError("the request was refused");
    parser.read(buffer, request);
    benchmark::DoNotOptimize(request);
  }
}
BENCHMARK(parse_request)->Arg(1 << 10)->Arg(64 << 10);

void parse_response(benchmark::State& state) {
  const std::string text = std::string(kResponseHead) + "Content-Length: 5\r\n\r\nhello";
  ByteBuffer buffer;
  ResponseParser parser{ParserLimits{}};
  Headers headers;
  for (auto _ : state) {
    fill(buffer, text);
    parser.reset();
    if (parser.feed(buffer) != ParseStatus::kComplete) return state.SkipWithError("the response was refused");
    parser.read_headers(buffer, headers);
    benchmark::DoNotOptimize(headers);
  }
}
BENCHMARK(parse_response);

void scan_events(benchmark::State& state) {
  std::string text;
  std::size_t events = 0;
  while (text.size() < (64u << 10)) {
    text += kEvent;
    ++events;
  }
  std::string scratch;
  for (auto _ : state) {
    SseScanner scanner;
    std::string_view rest = text;
    while (const std::size_t length = scanner.next(rest)) {
      benchmark::DoNotOptimize(parse_sse_event(rest.substr(0, length), scratch));
      rest.remove_prefix(length);
    }
    if (!rest.empty()) return state.SkipWithError("not all events were found");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
  state.SetItemsProcessed(static_cast<std::int64_t>(events) * state.iterations());
}
BENCHMARK(scan_events);

}  // namespace
}  // namespace spillway::http
