// What it costs to look at a request and at a chunk of an answer.
#include <benchmark/benchmark.h>

#include <string>

#include "api/chat_request.h"
#include "api/openai/chat_reader.h"
#include "api/translate.h"
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
  facts.keeps_text = false;
  const auto reader = chat_reader();
  for (auto _ : state) {
    const Chunk chunk = reader->read({}, std::string_view(text).substr(0, data.size()), facts, nullptr);
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
    const Answer answer = read_chat_answer(std::string_view(text).substr(0, body.size()), nullptr);
    if (answer.kind != Answer::Kind::kGood) return state.SkipWithError("the answer was not understood");
    benchmark::DoNotOptimize(answer);
  }
}
BENCHMARK(read_whole_answer);

// A request of 2 KB with tools and several turns, from one Dialect into another.
void translate_request(benchmark::State& state) {
  std::string body =
      R"({"model":"deepseek-flash","stream":true,"temperature":0.7,"max_tokens":500,"tools":[{"type":)"
      R"("function","function":{"name":"get_weather","description":"Weather","parameters":{"type":"object",)"
      R"("properties":{"city":{"type":"string"}},"required":["city"]}}}],"messages":[{"role":"system",)"
      R"("content":"You are brief."})";
  while (body.size() < 2000) {
    body += R"(,{"role":"user","content":"Tell me more about the river, and say \"where\" it ends."},)"
            R"({"role":"assistant","content":"It ends in the sea, far away from here."})";
  }
  body += R"(,{"role":"user","content":"Go on"}]})";
  const std::string text = padded(body);
  const std::string_view view = std::string_view(text).substr(0, body.size());
  const Format& from = format_of(Endpoint::kChat);
  const Format& to = format_of(static_cast<Endpoint>(state.range(0)));
  const ChatRequest request = std::get<ChatRequest>(from.decode(view));
  for (auto _ : state) {
    const auto made = translate(from, view, request, to, Recipient{});
    if (made.index() != 0) return state.SkipWithError("the request was refused");
    benchmark::DoNotOptimize(made);
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(body.size()) * state.iterations());
}
BENCHMARK(translate_request)->Arg(static_cast<int>(Endpoint::kMessages))->Arg(static_cast<int>(Endpoint::kOllamaChat));

// One event of a text, taken apart and written anew.
void translate_event(benchmark::State& state) {
  const Format& from = format_of(static_cast<Endpoint>(state.range(0)));
  const Format& to = format_of(static_cast<Endpoint>(state.range(1)));
  const std::string data =
      from.dialect() == Dialect::kAnthropic
          ? R"({"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":" token"}})"
      : from.dialect() == Dialect::kOllama
          ? R"({"model":"m","created_at":"2026-11-24T10:00:00Z","message":{"role":"assistant","content":" token"},"done":false})"
          : R"({"id":"chatcmpl-123","object":"chat.completion.chunk","created":1700000000,"model":"deepseek-flash",)"
            R"("choices":[{"index":0,"delta":{"content":" token"},"finish_reason":null}]})";
  const std::string text = padded(data);
  const auto reader = from.reader();
  const auto writer = to.writer({});
  StreamFacts facts;
  facts.keeps_text = false;
  Parts parts;
  std::string out;
  for (auto _ : state) {
    parts.clear();
    out.clear();
    reader->read({}, std::string_view(text).substr(0, data.size()), facts, &parts);
    for (const Part& part : parts) writer->append(out, part);
    if (out.empty()) return state.SkipWithError("nothing was written");
    benchmark::DoNotOptimize(out);
  }
}
BENCHMARK(translate_event)
    ->Args({static_cast<int>(Endpoint::kChat), static_cast<int>(Endpoint::kMessages)})
    ->Args({static_cast<int>(Endpoint::kChat), static_cast<int>(Endpoint::kOllamaChat)})
    ->Args({static_cast<int>(Endpoint::kChat), static_cast<int>(Endpoint::kResponses)})
    ->Args({static_cast<int>(Endpoint::kMessages), static_cast<int>(Endpoint::kChat)})
    ->Args({static_cast<int>(Endpoint::kOllamaChat), static_cast<int>(Endpoint::kChat)});

}  // namespace
}  // namespace spillway::api::openai
