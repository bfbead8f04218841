#include "api/assembler.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/format.h"

namespace spillway::api::openai {
namespace {

using nlohmann::json;

std::string chunk(const std::string& delta, const std::string& rest = R"(,"finish_reason":null)") {
  return R"(data: {"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":)" +
         delta + rest + "}]}\n\n";
}
json assembled(const std::string& events) {
  Assembler assembler(format_of(Endpoint::kChat).rules());
  std::string_view rest = events;
  for (std::size_t end = rest.find("\n\n"); end != std::string_view::npos; end = rest.find("\n\n")) {
    if (rest.starts_with("data: ")) assembler.add(rest.substr(6, end - 6));
    rest.remove_prefix(end + 2);
  }
  return json::parse(assembler.answer());
}

TEST(Assembler, joins_the_texts_and_keeps_the_identity) {
  const json out =
      assembled(chunk(R"({"role":"assistant","content":""})") + chunk(R"({"content":"Hel"})") +
                chunk(R"({"content":"lo"})") + chunk("{}", R"(,"finish_reason":"stop")") +
                "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"total_tokens\":3},\"timings\":{\"n\":1}}\n\n");
  EXPECT_EQ(out, json::parse(R"({"id":"c","object":"chat.completion","created":5,"model":"m","choices":[{"index":0,
    "message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"total_tokens":3},"timings":{"n":1}})"));
}

TEST(Assembler, merges_parallel_calls_whether_or_not_a_server_repeats_their_names) {
  const json out = assembled(
      chunk(R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]})") +
      chunk(R"({"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]})") +
      chunk(R"({"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}]})") +
      chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]})"));
  EXPECT_EQ(out["choices"][0]["message"]["tool_calls"],
            json::parse(R"([{"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}},
                            {"id":"b","type":"function","function":{"name":"g","arguments":"{}"}}])"));
}

TEST(Assembler, keeps_what_nobody_thought_of) {
  const json out = assembled(
      chunk(R"({"reasoning_content":"so ","audio_hint":[1]})", R"(,"logprobs":{"content":[{"token":"a"}]},"seen":1)") +
      chunk(R"({"reasoning_content":"it is","audio_hint":[2]})",
            R"(,"logprobs":{"content":[{"token":"b"}]},"seen":2)"));
  EXPECT_EQ(out["choices"][0]["message"]["reasoning_content"], "so it is");
  EXPECT_EQ(out["choices"][0]["message"]["audio_hint"], json::parse("[1,2]"));
  EXPECT_EQ(out["choices"][0]["logprobs"]["content"].size(), 2u);
  EXPECT_EQ(out["choices"][0]["seen"], 2);
}

TEST(Assembler, keeps_choices_apart) {
  const json out = assembled(
      "data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"B\"}}]}\n\n: comment\n\n"
      "data: {\"choices\":[{\"index\":0,\n\"delta\":{\"content\":\"A\"}}]}\n\ndata: [DONE]\n\n");
  ASSERT_EQ(out["choices"].size(), 2u);
  EXPECT_EQ(out["choices"][0]["message"]["content"], "A");
  EXPECT_EQ(out["choices"][1]["message"]["content"], "B");
}

}  // namespace
}  // namespace spillway::api::openai
