// Requests from one Dialect into another: what the end-to-end tests of all pairs do not reach.
#include "api/translate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/edit.h"
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

// The arguments of the first call in a request of any Dialect; nothing: there is none.
json arguments_in(const json& body) {
  for (const json& message : body["messages"]) {
    for (const json& block : message["content"].is_array() ? message["content"] : json::array()) {
      if (block["type"] == "tool_use") return block["input"];
    }
    if (message.contains("tool_calls")) return message["tool_calls"][0]["function"]["arguments"];
  }
  return "nothing";
}

// A model that was cut at its limit leaves such in the history: the session has to go on.
TEST(Translate, arguments_that_are_no_object_are_carried) {
  const std::string shaped[] = {R"("[1")", R"("{\"a\":")", R"("")",      "null",           R"("7")",
                                "7",       "[]",           R"({"a":1})", R"("{\"a\":1} ")"};
  for (const std::string& arguments : shaped) {
    const std::string history[] = {
        R"({"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":)" +
            arguments + R"(}}]},{"role":"tool","tool_call_id":"1","content":"y"}]})",
        R"({"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"},{"role":"assistant","content":[{"type":"tool_use","id":"1","name":"f","input":)" +
            arguments + R"(}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"1","content":"y"}]}]})",
        R"({"model":"m","store":false,"input":[{"role":"user","content":"x"},{"type":"function_call","call_id":"1","name":"f","arguments":)" +
            arguments + R"(},{"type":"function_call_output","call_id":"1","output":"y"}]})",
        R"({"model":"m","messages":[{"role":"user","content":"x"},{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":)" +
            arguments + R"(}}]},{"role":"tool","name":"f","content":"y"}]})"};
    const Endpoint clients[] = {Endpoint::kChat, Endpoint::kMessages, Endpoint::kResponses, Endpoint::kOllamaChat};
    for (std::size_t i = 0; i < std::size(clients); ++i) {
      for (const Endpoint to : {Endpoint::kChat, Endpoint::kMessages, Endpoint::kOllamaChat}) {
        if (clients[i] == to) continue;
        const auto out = translated(clients[i], history[i], to);
        ASSERT_EQ(out.param, "") << arguments << " from " << row_of(clients[i]).path << " to " << row_of(to).path;
        const json got = arguments_in(out.body);
        const bool is_object =
            arguments.find(R"(a":1)") != std::string::npos || arguments.find(R"(a\":1)") != std::string::npos;
        const bool was_text = arguments.starts_with('"') && arguments != R"("")";
        if (to != Endpoint::kChat) {
          EXPECT_EQ(got,
                    is_object && (!was_text || clients[i] != Endpoint::kMessages) ? json({{"a", 1}}) : json::object())
              << arguments << " from " << row_of(clients[i]).path;
        } else if (is_object && (!was_text || clients[i] != Endpoint::kMessages)) {
          EXPECT_EQ(json::parse(got.get<std::string>()), json({{"a", 1}}));
        } else if (was_text && clients[i] != Endpoint::kMessages) {
          EXPECT_EQ(got, json::parse(arguments)) << "as it came";
        } else {
          EXPECT_EQ(got, "{}") << arguments;
        }
      }
    }
  }
}

TEST(Translate, ids_of_calls_fit_the_provider_alike_in_call_and_result) {
  const auto ids = [](const std::string& id, Endpoint to, CallIds wanted) {
    Recipient recipient;
    recipient.call_ids = wanted;
    const std::string body =
        to == Endpoint::kMessages
            ? R"({"model":"m","messages":[{"role":"assistant","tool_calls":[{"id":")" + id +
                  R"(","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":")" + id +
                  R"(","content":"y"}]})"
            : R"({"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"tool_use","id":")" +
                  id + R"(","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":")" +
                  id + R"(","content":"y"}]}]})";
    const auto out = translated(to == Endpoint::kMessages ? Endpoint::kChat : Endpoint::kMessages, body, to, recipient);
    const json& messages = out.body["messages"];
    return to == Endpoint::kMessages
               ? std::pair(messages[0]["content"][0]["id"], messages[1]["content"][0]["tool_use_id"])
               : std::pair(messages[0]["tool_calls"][0]["id"], messages[1]["tool_call_id"]);
  };
  for (const std::string& id : {std::string("functions.Bash:0"), std::string("call 1"), std::string("a/b"),
                                std::string("\u00e9"), std::string(80, 'x')}) {
    const auto [call, result] = ids(id, Endpoint::kMessages, CallIds::kWord);
    EXPECT_EQ(call, result);
    EXPECT_THAT(call.get<std::string>(), ::testing::MatchesRegex("[a-zA-Z0-9_-]+"));
    EXPECT_LE(call.get<std::string>().size(), 64u);
    const auto [nine, again] = ids(id, Endpoint::kChat, CallIds::kNine);
    EXPECT_EQ(nine, again);
    EXPECT_THAT(nine.get<std::string>(), ::testing::MatchesRegex("[a-zA-Z0-9]+"));
    EXPECT_EQ(nine.get<std::string>().size(), 9u);
  }
  EXPECT_EQ(ids("toolu_01-a", Endpoint::kMessages, CallIds::kWord).first, "toolu_01-a");
  EXPECT_EQ(ids("D681PevKs", Endpoint::kChat, CallIds::kNine).first, "D681PevKs");
  EXPECT_EQ(ids("any:thing", Endpoint::kChat, CallIds::kAny).first, "any:thing");
  EXPECT_NE(fitting_id("a.b", CallIds::kWord), fitting_id("a:b", CallIds::kWord));
}

TEST(Translate, ids_are_changed_in_place_where_the_dialect_is_the_same) {
  const auto edited = [](const std::string& body, CallIds wanted) {
    std::vector<Edit> edits;
    append_call_id_edits(body, wanted, edits);
    std::string out;
    for (const std::string_view piece : splice(body, edits)) out += piece;
    return out;
  };
  const std::string chat =
      R"({"messages":[ {"role":"assistant","tool_calls":[{"id":"call_1" ,"function":{}}]},{"role":"tool","tool_call_id": "call_1"}],"n":1.0})";
  const json mended = json::parse(edited(chat, CallIds::kNine));
  EXPECT_EQ(mended["messages"][0]["tool_calls"][0]["id"], fitting_id("call_1", CallIds::kNine));
  EXPECT_EQ(mended["messages"][1]["tool_call_id"], fitting_id("call_1", CallIds::kNine));
  EXPECT_EQ(edited(chat, CallIds::kAny), chat);
  const std::string messages =
      R"({"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a:0","input":{"id":"b:1"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a:0"}]}]})";
  const json words = json::parse(edited(messages, CallIds::kWord));
  EXPECT_EQ(words["messages"][0]["content"][0]["id"], fitting_id("a:0", CallIds::kWord));
  EXPECT_EQ(words["messages"][1]["content"][0]["tool_use_id"], fitting_id("a:0", CallIds::kWord));
  EXPECT_EQ(words["messages"][0]["content"][0]["input"]["id"], "b:1");
  const std::string fits = R"({"messages":[{"content":[{"type":"tool_result","tool_use_id":"toolu_1"}]}]})";
  EXPECT_EQ(edited(fits, CallIds::kWord), fits);
}

TEST(Translate, a_tool_without_arguments_has_a_whole_schema) {
  const json none = {{"type", "object"}, {"properties", json::object()}};
  for (const std::string parameters :
       {R"("parameters":{},)", "", R"("parameters":{"type":"object"},)", R"("parameters":{"properties":{}},)"}) {
    const std::string body =
        R"({"model":"m","messages":[],"tools":[{"type":"function","function":{)" + parameters + R"("name":"f"}}]})";
    EXPECT_EQ(translated(Endpoint::kChat, body, Endpoint::kMessages).body["tools"][0]["input_schema"], none)
        << parameters;
  }
  for (const std::string schema : {"{}", R"({"type":"object"})"}) {
    const std::string body =
        R"({"model":"m","max_tokens":9,"messages":[],"tools":[{"name":"f","input_schema":)" + schema + "}]}";
    for (const Endpoint to : {Endpoint::kChat, Endpoint::kOllamaChat})
      EXPECT_EQ(translated(Endpoint::kMessages, body, to).body["tools"][0]["function"]["parameters"], none) << schema;
  }
  EXPECT_EQ(json::parse(object_schema(R"({"anyOf":[{"type":"object"}]})")),
            json::parse(R"({"type":"object","anyOf":[{"type":"object"}]})"));
}

TEST(Translate, results_of_ollama_are_told_apart_by_the_tools_name) {
  for (const std::string key : {"tool_name", "name"}) {
    const auto out = translated(Endpoint::kOllamaChat,
                                R"({"model":"m","messages":[{"role":"assistant","content":"","tool_calls":[
      {"function":{"name":"f","arguments":{}}},{"function":{"name":"g","arguments":"{\"a\":1}"}}]},
      {"role":"tool","content":"of g",")" +
                                    key + R"(":"g"},{"role":"tool","content":"of f",")" + key + R"(":"f"}]})",
                                Endpoint::kChat);
    const json& messages = out.body["messages"];
    ASSERT_EQ(messages.size(), 3u) << out.body;
    EXPECT_EQ(messages[1]["tool_call_id"], messages[0]["tool_calls"][1]["id"]);
    EXPECT_EQ(messages[2]["tool_call_id"], messages[0]["tool_calls"][0]["id"]);
    EXPECT_EQ(messages[0]["tool_calls"][1]["function"]["arguments"], R"({"a":1})");
  }
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
