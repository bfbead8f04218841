// Requests from one Dialect into another: what the end-to-end tests of all pairs do not reach.
#include "api/translate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/padded.h"

namespace spillway::api {
namespace {

using nlohmann::json;
using testing::Padded;

struct Translated {
  json body;
  std::vector<std::string> dropped;
  std::string param;  // of the refusal
};

Translated translated(Endpoint from, const std::string& body, Endpoint to, const Recipient& recipient = {}) {
  const Padded padded(body);
  auto decoded = format_of(from).decode(padded.view());
  if (const auto* error = std::get_if<ApiError>(&decoded)) return {{}, {}, "decode: " + error->param};
  const auto made = translate(format_of(from), padded.view(), std::get<ChatRequest>(decoded), format_of(to), recipient);
  if (const auto* error = std::get_if<ApiError>(&made)) return {{}, {}, error->param};
  const auto& translation = std::get<Translation>(made);
  return {json::parse(translation.text()), translation.dropped, {}};
}

TEST(Translate, numbers_and_the_order_of_a_schema_survive) {
  const std::string schema =
      R"({"type":"object","properties":{"z":{"type":"number","maximum":1.0e+2},"a":{"const":12345678901234567890}}})";
  const std::string body =
      R"({"model":"m","messages":[{"role":"user","content":"x"}],"temperature":0.10,"seed":7,"tools":[{"type":"function",)"
      R"("function":{"name":"f","parameters":)" +
      schema + "}}]}";
  const Padded padded(body);
  const Format& chat = format_of(Endpoint::kChat);
  const auto made = translate(chat, padded.view(), std::get<ChatRequest>(chat.decode(padded.view())),
                              format_of(Endpoint::kMessages), {});
  const std::string text(std::get<Translation>(made).text());
  EXPECT_NE(text.find("\"input_schema\":" + schema), std::string::npos) << text;
  EXPECT_NE(text.find("\"temperature\":0.10"), std::string::npos);
}

TEST(Translate, results_of_one_turn_stand_together_for_anthropic) {
  const auto out =
      translated(Endpoint::kChat, R"({"model":"m","messages":[{"role":"assistant","content":null,"tool_calls":[
    {"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},
    {"id":"2","type":"function","function":{"name":"f","arguments":""}}]},
    {"role":"tool","tool_call_id":"1","content":"one"},{"role":"tool","tool_call_id":"2","content":"two"},
    {"role":"user","content":"and"}]})",
                 Endpoint::kMessages);
  ASSERT_EQ(out.body["messages"].size(), 3u);
  EXPECT_EQ(out.body["messages"][0]["content"][0]["input"], json({{"a", 1}}));
  EXPECT_EQ(out.body["messages"][0]["content"][1]["input"], json::object());
  EXPECT_EQ(out.body["messages"][1]["content"].size(), 2u);
  EXPECT_EQ(out.body["messages"][1]["content"][1]["tool_use_id"], "2");
}

TEST(Translate, arguments_that_are_no_object_are_the_clients_fault) {
  EXPECT_EQ(translated(Endpoint::kChat, R"({"model":"m","messages":[{"role":"assistant","tool_calls":[
    {"id":"1","type":"function","function":{"name":"f","arguments":"[1"}}]}]})",
                       Endpoint::kMessages)
                .param,
            "messages");
}

TEST(Translate, what_a_model_refuses_is_left_out_for_it) {
  Recipient strict;
  strict.fixed_sampling = true;
  const std::string body = R"({"model":"m","messages":[],"temperature":0.3,"top_p":0.5,"reasoning_effort":"none"})";
  const auto out = translated(Endpoint::kChat, body, Endpoint::kMessages, strict);
  EXPECT_FALSE(out.body.contains("temperature"));
  EXPECT_FALSE(out.body.contains("thinking"));
  EXPECT_EQ(out.dropped, (std::vector<std::string>{"temperature", "top_p", "thinking"}));
  Recipient free;
  free.may_be_silenced = true;
  EXPECT_EQ(translated(Endpoint::kChat, body, Endpoint::kMessages, free).body["thinking"],
            json({{"type", "disabled"}}));
}

TEST(Translate, thinking_with_its_signature_stays_with_anthropic_alone) {
  const std::string body = R"({"model":"m","max_tokens":5,"messages":[{"role":"assistant","content":[
    {"type":"thinking","thinking":"hm","signature":"s"},{"type":"redacted_thinking","data":"d"},{"type":"text","text":"a"}]}]})";
  EXPECT_EQ(translated(Endpoint::kMessages, body, Endpoint::kChat).body["messages"][0]["reasoning_content"], "hm");
  Recipient closed;
  closed.takes_reasoning = false;
  EXPECT_FALSE(
      translated(Endpoint::kMessages, body, Endpoint::kChat, closed).body["messages"][0].contains("reasoning_content"));
  EXPECT_EQ(translated(Endpoint::kMessages, body, Endpoint::kOllamaChat).body["messages"][0]["thinking"], "hm");
}

TEST(Translate, images_of_a_result_follow_it_where_only_users_may_show_them) {
  const auto out = translated(Endpoint::kMessages, R"({"model":"m","max_tokens":5,"messages":[{"role":"user","content":[
    {"type":"tool_result","tool_use_id":"1","content":[{"type":"text","text":"see"},
     {"type":"image","source":{"type":"url","url":"https://x/y.png"}}]}]}]})",
                              Endpoint::kChat);
  ASSERT_EQ(out.body["messages"].size(), 2u);
  EXPECT_EQ(out.body["messages"][0]["content"], "see");
  EXPECT_EQ(out.body["messages"][1]["content"][0]["image_url"]["url"], "https://x/y.png");
}

TEST(Translate, tool_choice_in_all_forms) {
  const auto of = [](const std::string& choice, Endpoint to) {
    return translated(
        Endpoint::kChat,
        R"({"model":"m","messages":[],"parallel_tool_calls":false,"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":)" +
            choice + "}",
        to);
  };
  EXPECT_EQ(of("\"required\"", Endpoint::kMessages).body["tool_choice"],
            json({{"type", "any"}, {"disable_parallel_tool_use", true}}));
  EXPECT_EQ(of("\"none\"", Endpoint::kMessages).body["tool_choice"], json({{"type", "none"}}));
  EXPECT_EQ(of(R"({"type":"function","function":{"name":"f"}})", Endpoint::kMessages).body["tool_choice"]["name"], "f");
  EXPECT_FALSE(of("\"none\"", Endpoint::kOllamaChat).body.contains("tools"));
  EXPECT_EQ(of("\"required\"", Endpoint::kOllamaChat).param, "tool_choice");
  EXPECT_EQ(of("{\"type\":\"allowed_tools\"}", Endpoint::kMessages).param, "tool_choice");
}

TEST(Translate, what_nobody_knows_is_refused_by_name) {
  EXPECT_EQ(translated(Endpoint::kChat, R"({"model":"m","messages":[],"made_up":1})", Endpoint::kMessages).param,
            "made_up");
  EXPECT_EQ(translated(Endpoint::kMessages, R"({"model":"m","messages":[],"mcp_servers":[]})", Endpoint::kChat).param,
            "mcp_servers");
  EXPECT_EQ(translated(Endpoint::kOllamaChat, R"({"model":"m","options":{"made_up":1}})", Endpoint::kChat).param,
            "options.made_up");
  EXPECT_EQ(translated(Endpoint::kResponses, R"({"model":"m","input":"x","background":true})", Endpoint::kChat).param,
            "background");
  EXPECT_EQ(
      translated(Endpoint::kMessages,
                 R"({"model":"m","messages":[],"tools":[{"type":"web_search_20250305","name":"w"}]})", Endpoint::kChat)
          .param,
      "tools");
}

TEST(Translate, options_of_ollamas_runtime_are_left_out) {
  const auto out =
      translated(Endpoint::kOllamaChat, R"({"model":"m","messages":[{"role":"user","content":"x"}],"keep_alive":"5m",
    "options":{"num_ctx":4096,"num_predict":-1,"top_k":5,"stop":"x"}})",
                 Endpoint::kChat);
  EXPECT_FALSE(out.body.contains("max_tokens"));
  EXPECT_EQ(out.body["stop"], json({"x"}));
  EXPECT_TRUE(out.body["stream"]);
  std::vector<std::string> dropped = out.dropped;
  std::ranges::sort(dropped);
  EXPECT_EQ(dropped, (std::vector<std::string>{"keep_alive", "options.num_ctx", "top_k"}));
}

}  // namespace
}  // namespace spillway::api
