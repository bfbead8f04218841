// What it costs to look at a request and at a chunk of an answer.
#include <benchmark/benchmark.h>

#include <string>

#include "api/chat_request.h"
#include "api/openai/chat_answer.h"
#include "base/byte_buffer.h"

namespace spillway::api::openai {
namespace {

// With the readable bytes behind it that simdjson wants.
std::string padded(std::string text) { return text.append(ByteBuffer::kPadding, '\0'); }

void decode_request(benchmark::State& state) {
  std::string content;
  while (content.size() < static_cast<std::size_t>(state.range(0))) content += "Tell me more about the river. ";
  const std::string body =
      R"({"model":"deepseek-flash","stream":true,"temperature":0.7,"messages":[{"role":"user","content":")" + content +
      "\"}]}";
  const std::string text = padded(body);
  for (auto _ : state) {
    const auto decoded = decode_chat_request(std::string_view(text).substr(0, body.size()));
    if (decoded.index() != 0) return state.SkipWithError("the request was refused");
    benchmark::DoNotOptimize(decoded);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(body.size()) * state.iterations());
}
BENCHMARK(decode_request)->Arg(1 << 10)->Arg(64 << 10);

void read_one_chunk(benchmark::State& state) {
  const std::string data =
      R"({"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"model":"deepseek-flash",)"
      R"("choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]})";
  const std::string text = padded(data);
  StreamFacts facts;
  for (auto _ : state) {
    const Chunk chunk = read_chunk(std::string_view(text).substr(0, data.size()), facts);
    if (!chunk.token) return state.SkipWithError("the chunk was not understood");
    benchmark::DoNotOptimize(chunk);
  }
}
BENCHMARK(read_one_chunk);

void read_whole_answer(benchmark::State& state) {
  const std::string body =
      R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":)"
      R"({"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2}})";
  const std::string text = padded(body);
  for (auto _ : state) {
    const Answer answer = read_answer(std::string_view(text).substr(0, body.size()));
    if (answer.kind != Answer::Kind::kGood) return state.SkipWithError("the answer was not understood");
    benchmark::DoNotOptimize(answer);
  }
}
BENCHMARK(read_whole_answer);

}  // namespace
}  // namespace spillway::api::openai
