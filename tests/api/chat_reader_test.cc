#include "api/openai/chat_reader.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/chat_request.h"
#include "api/format.h"
#include "api/padded.h"
#include "api/thread_parser.h"

namespace spillway::api::openai {
namespace {

using nlohmann::json;
using testing::Padded;
using Kind = Chunk::Kind;

struct Read : Chunk {
  StreamFacts facts;
};
// One chunk, as the first of a stream or behind what `facts` tells.
Read chunk(std::string_view data, StreamFacts facts = {}) {
  Read read{{}, std::move(facts)};
  static_cast<Chunk&>(read) = chat_reader()->read({}, Padded(data).view(), read.facts, nullptr);
  return read;
}
Answer answer(std::string_view body) { return read_chat_answer(Padded(body).view(), nullptr); }
// What the writer adds at the end of a stream that was passed on as it came, without the mark of its end.
std::string finish_events(const StreamFacts& facts) {
  const auto writer = format_of(Endpoint::kChat).writer({});
  std::string out;
  writer->go_on_from(facts);
  writer->end(out);
  constexpr std::string_view kDone = "data: [DONE]\n\n";
  EXPECT_TRUE(out.ends_with(kDone));
  return out.substr(0, out.size() - kDone.size());
}
std::string with_delta(const std::string& delta) {
  return R"({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":)" +
         delta + R"(,"finish_reason":null}]})";
}
std::string with_message(const std::string& message) {
  return R"({"id":"c","choices":[{"index":0,"message":)" + message + R"(,"finish_reason":"stop"}]})";
}

TEST(Chunk, whatever_a_delta_has_besides_its_role_is_a_token) {
  for (const std::string delta :
       {R"({"content":"x"})", R"({"role":"assistant","content":" "})", R"({"reasoning_content":"x"})",
        R"({"content":null,"reasoning_content":"x"})", R"({"content":"","reasoning":"x"})", R"({"refusal":"no"})",
        R"({"content":[{"type":"text","text":"x"}]})", R"({"reasoning_content":"","content":"x"})",
        R"({"content":"","images":[{"type":"image_url"}]})", R"({"reasoning_details":[{"text":"x"}]})",
        R"({"thinking":"x"})", R"({"thinking_blocks":[{}]})", R"({"audio":{"id":"a"}})", R"({"content":{"a":1}})",
        R"({"content":"\ud83d"})", R"({"content":"\ude00"})", R"({"content":"\""})", R"({"content":"\u0000"})"}) {
    const Read read = chunk(with_delta(delta));
    EXPECT_EQ(read.kind, Kind::kChunk) << delta;
    EXPECT_TRUE(read.token) << delta;
    EXPECT_FALSE(read.facts.choices.at(0).tool_calls) << delta;
  }
}

TEST(Chunk, a_tool_call_is_a_token_and_told_apart) {
  const Read call =
      chunk(with_delta(R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]})"));
  EXPECT_TRUE(call.token && call.facts.choices.at(0).tool_calls);
  const Read old = chunk(with_delta(R"({"function_call":{"name":"f"}})"));
  EXPECT_TRUE(old.token && old.facts.choices.at(0).function_call && !old.facts.choices.at(0).tool_calls);
}

TEST(Chunk, a_role_and_void_fields_are_no_token) {
  for (const std::string delta :
       {R"({})", R"({"role":"assistant"})", R"({"role":"assistant","content":""})", R"({"content":null})",
        R"({"content":"","reasoning_content":null,"refusal":null,"tool_calls":null})", R"({"tool_calls":[]})",
        R"({"function_call":null,"audio":{}})", R"({"content":[]})", R"({"content":7,"thinking":false})", "null", "[]",
        "\"x\""}) {
    const Read read = chunk(with_delta(delta));
    EXPECT_EQ(read.kind, Kind::kChunk) << delta;
    EXPECT_FALSE(read.token) << delta;
    EXPECT_FALSE(read.facts.choices.at(0).tool_calls) << delta;
  }
}

TEST(Chunk, role_and_usage_are_seen) {
  EXPECT_EQ(chunk(with_delta(R"({"role":"assistant"})")).without_role, -1);
  EXPECT_EQ(chunk(with_delta(R"({"role":null,"content":"x"})")).without_role, 0);
  const Read usage = chunk(R"({"id":"c","choices":[],"usage":{"total_tokens":7}})");
  EXPECT_EQ(usage.kind, Kind::kChunk);
  EXPECT_TRUE(usage.usage && !usage.token && !usage.facts.counted);
  EXPECT_TRUE(chunk(R"({"choices":[],"usage":{"completion_tokens":1}})").facts.counted);
  EXPECT_FALSE(chunk(R"({"choices":[],"usage":{"completion_tokens":0}})").facts.counted);
  EXPECT_FALSE(chunk(R"({"choices":[],"usage":null})").usage);
  EXPECT_EQ(chunk(R"({"usage":{"total_tokens":7}})").kind, Kind::kChunk);
}

TEST(Chunk, a_finish_is_a_text_other_than_nothing_and_null) {
  const auto finished = [](const std::string& reason) {
    return chunk(R"({"choices":[{"delta":{},"finish_reason":)" + reason + "}]}").facts.finished();
  };
  for (const char* const reason : {R"("stop")", R"("length")", R"("eos_token")"})
    EXPECT_TRUE(finished(reason)) << reason;
  for (const char* const reason : {"null", R"("")", R"("null")", "false", "0", "{}", "[]"})
    EXPECT_FALSE(finished(reason)) << reason;
  EXPECT_TRUE(chunk(R"({"choices":[{"finish_reason":"length","delta":{"content":"x"}}]})").facts.finished());
  EXPECT_FALSE(StreamFacts{}.finished());
}

TEST(Chunk, an_answer_without_content_is_one_by_its_finish) {
  const auto counted = [](const std::string& reason) {
    return chunk(R"({"choices":[{"delta":{},"finish_reason":")" + reason + "\"}]}").facts.counted;
  };
  for (const char* const reason : {"length", "content_filter", "tool_calls", "function_call"})
    EXPECT_TRUE(counted(reason));
  EXPECT_FALSE(counted("stop"));
  EXPECT_FALSE(counted("insufficient_system_resource"));
}

TEST(Chunk, finishes_are_counted_by_choice) {
  StreamFacts facts;
  const auto add = [&facts](const std::string& choice) {
    const Read read = chunk(R"({"choices":[)" + choice + "]}", facts);
    facts = read.facts;
    return read;
  };
  EXPECT_EQ(add(R"({"index":0,"delta":{"role":"assistant","content":"A"}})").without_role, -1);
  EXPECT_EQ(add(R"({"index":1,"delta":{"content":"B"}})").without_role, 1);
  EXPECT_EQ(add(R"({"index":1,"delta":{"content":"B"}})").without_role, -1);
  add(R"({"index":0,"delta":{},"finish_reason":"stop"})");
  EXPECT_FALSE(facts.finished());
  EXPECT_EQ(json::parse(finish_events(facts).substr(6))["choices"][0]["index"], 1);
  add(R"({"index":1,"delta":{},"finish_reason":"stop"},{"index":0,"delta":{}})");
  EXPECT_TRUE(facts.finished());
  EXPECT_EQ(finish_events(facts), "");
}

TEST(Chunk, choices_without_end_are_garbage) {
  StreamFacts facts;
  for (int i = 0; i < 200; ++i) {
    const Read read = chunk(R"({"choices":[{"index":)" + std::to_string(i) + R"(,"delta":{"content":"x"}}]})", facts);
    facts = read.facts;
    EXPECT_EQ(read.kind, i < 128 ? Kind::kChunk : Kind::kGarbage);
  }
}

TEST(Chunk, the_identity_is_that_of_the_first_chunk_that_has_one) {
  const std::string data = R"({"id":"chatcmpl-1","created":17,"model":"m","choices":[]})";
  const Read first = chunk(data);
  EXPECT_EQ(first.facts.id, "chatcmpl-1");
  EXPECT_EQ(first.facts.model, "m");
  EXPECT_EQ(first.facts.created, 17);
  EXPECT_EQ(chunk(R"({"id":"other","model":"n","choices":[]})", first.facts).facts.id, "chatcmpl-1");
  const Read odd = chunk(R"({"id":7,"created":"x","model":null,"choices":[{"delta":{"content":"x"}}]})");
  EXPECT_EQ(odd.kind, Kind::kChunk);
  EXPECT_TRUE(odd.token);
}

TEST(Chunk, done_is_done) {
  EXPECT_EQ(chunk("[DONE]").kind, Kind::kDone);
  EXPECT_EQ(chunk("[DONE] \t\r").kind, Kind::kDone);
  EXPECT_EQ(chunk("[done]").kind, Kind::kGarbage);
}

TEST(Chunk, error_objects_of_several_shapes_are_errors) {
  const std::pair<std::string, std::string> table[] = {
      {R"({"error":{"message":"overloaded","type":"server_error","param":null,"code":null}})", "overloaded"},
      {R"({"error":"plain text"})", "plain text"},
      {R"({"error":{"code":503}})", ""},
      {R"({"error":true})", ""},
      {R"({"error":{"message":{"nested":1}}})", ""},
      {R"({"id":"c","choices":[],"error":{"message":"late"}})", "late"},
      {R"({"object":"error","error":{"message":"\u4f60"}})", "\u4f60"},
  };
  for (const auto& [data, message] : table) {
    const Read read = chunk(data);
    EXPECT_EQ(read.kind, Kind::kError) << data;
    EXPECT_EQ(read.error.message, message) << data;
  }
}

TEST(Chunk, an_error_that_is_void_is_none) {
  for (const char* const error : {"null", R"("")", "{}", "[]", "false"}) {
    const Read read = chunk(R"({"error":)" + std::string(error) + R"(,"choices":[{"delta":{"content":"x"}}]})");
    EXPECT_EQ(read.kind, Kind::kChunk) << error;
    EXPECT_TRUE(read.token) << error;
  }
}

TEST(Chunk, a_long_error_message_is_cut) {
  EXPECT_LE(chunk(R"({"error":{"message":")" + std::string(10'000, 'e') + "\"}}").error.message.size(), 300u);
}

TEST(Chunk, json_that_is_no_chunk_is_noise) {
  for (const std::string data :
       {"{}", R"({"type":"ping"})", R"({"cost":0.01})", R"({"choices":null})", R"({"object":"chat.completion.chunk"})",
        R"({"choices":null,"error":""})", "null", "7", "\"x\"", "[]"}) {
    EXPECT_EQ(chunk(data).kind, Kind::kNoise) << data;
  }
}

TEST(Chunk, more_than_one_json_text_is_told) {
  const std::string one = with_delta(R"({"content":"x"})");
  EXPECT_EQ(chunk(one + "\n" + one).kind, Kind::kSeveral);
  EXPECT_EQ(chunk(one + one).kind, Kind::kSeveral);
  EXPECT_EQ(chunk(one + "x").kind, Kind::kGarbage);
  EXPECT_EQ(chunk(" " + one + " \n").kind, Kind::kChunk);
}

TEST(Chunk, what_is_no_json_is_garbage) {
  for (const std::string data :
       {"", " ", "hello", "<html>", R"({"choices":{}})", R"({"choices":[7]})", R"({"choices":["x"]})",
        R"({"choices":[{"delta":{"content":"x"}})", R"({"choices":[)", R"({"choices":[{"delta":{"content":"x"}}])"}) {
    EXPECT_EQ(chunk(data).kind, Kind::kGarbage) << data;
  }
}

TEST(Chunk, a_chunk_cut_at_any_byte_is_garbage) {
  const std::string data = with_delta(R"({"role":"assistant","content":"h\u00e9llo","tool_calls":null})");
  ASSERT_EQ(chunk(data).kind, Kind::kChunk);
  for (std::size_t at = 0; at < data.size(); ++at) EXPECT_EQ(chunk(data.substr(0, at)).kind, Kind::kGarbage) << at;
}

TEST(Chunk, fields_behind_a_strange_one_are_still_read) {
  for (const std::string odd : {R"("content":{"a":[1,{"b":2}]})", R"("tool_calls":{"a":1})",
                                R"("reasoning_content":[[1]])", R"("role":{"x":1})"}) {
    const Read read =
        chunk(R"({"choices":[{"delta":{)" + odd + R"(,"refusal":"x"},"finish_reason":"stop"}],"usage":{"a":1}})");
    EXPECT_TRUE(read.token) << odd;
    EXPECT_TRUE(read.facts.finished()) << odd;
    EXPECT_TRUE(read.usage) << odd;
  }
}

TEST(Answer, a_completion_with_content_is_good) {
  for (const std::string message :
       {R"({"role":"assistant","content":"x"})", R"({"content":null,"tool_calls":[{"id":"a"}]})",
        R"({"content":"","reasoning_content":"x"})", R"({"refusal":"no"})"}) {
    EXPECT_EQ(answer(with_message(message)).kind, Answer::Kind::kGood) << message;
  }
  EXPECT_EQ(answer(R"({"choices":[{"message":{"content":""}}],"usage":{"completion_tokens":3}})").kind,
            Answer::Kind::kGood);
  EXPECT_EQ(answer(R"({"choices":[{"message":{"content":""},"finish_reason":"length"}]})").kind, Answer::Kind::kGood);
  EXPECT_EQ(answer(R"({"choices":[{"message":{"content":"","images":[{"a":1}]}}]})").kind, Answer::Kind::kGood);
  EXPECT_EQ(answer(R"({"error":{},"choices":[{"message":{"content":"x"}}]})").kind, Answer::Kind::kGood);
  EXPECT_EQ(answer(" \n" + with_message(R"({"content":"x"})") + "\n").kind, Answer::Kind::kGood);
}

TEST(Answer, one_without_content_is_empty) {
  for (const std::string& body :
       {with_message(R"({"content":""})"), with_message(R"({"content":null,"tool_calls":[]})"), with_message("null"),
        std::string(R"({"choices":[]})"),
        std::string(R"({"choices":[{"message":{"content":""}}],"usage":{"completion_tokens":0}})"),
        std::string(R"({"choices":[{"message":{"content":""}}],"usage":null})")}) {
    EXPECT_EQ(answer(body).kind, Answer::Kind::kEmpty) << body;
  }
}

TEST(Answer, an_error_object_with_status_200_is_an_error) {
  const Answer read = answer(R"({"error":{"message":"busy"}})");
  EXPECT_EQ(read.kind, Answer::Kind::kError);
  EXPECT_EQ(read.error.message, "busy");
  EXPECT_EQ(answer(R"({"error":"busy"})").error.message, "busy");
  EXPECT_EQ(answer(R"({"error":null,"choices":[{"message":{"content":"x"}}]})").kind, Answer::Kind::kGood);
}

TEST(Answer, anything_else_is_garbage) {
  const std::string good = with_message(R"({"content":"x"})");
  for (const std::string& body :
       {std::string(), std::string("<html></html>"), std::string("{}"), std::string("[]"), std::string("null"),
        std::string(R"({"choices":null})"), std::string(R"({"choices":"x"})"), good + "x", good + good,
        std::string("data: ") + good}) {
    EXPECT_EQ(answer(body).kind, Answer::Kind::kGarbage) << body;
  }
  for (std::size_t at = 0; at < good.size(); ++at)
    EXPECT_EQ(answer(good.substr(0, at)).kind, Answer::Kind::kGarbage) << at;
}

TEST(ReadError, takes_message_type_and_code_from_where_they_stand) {
  const auto of = [](std::string_view body) {
    const UpstreamError error = read_error(Padded(body).view());
    return error.message + "|" + error.type + "|" + error.code;
  };
  EXPECT_EQ(of(R"({"error":{"message":"bad key","code":1,"type":"t","param":null}})"), "bad key|t|1");
  EXPECT_EQ(of(R"({"error":{"code":"1305","message":"busy"}})"), "busy||1305");
  EXPECT_EQ(of(R"({"error":"text"})"), "text||");
  EXPECT_EQ(of(R"({"message":"x","code":20012,"data":null})"), "x||20012");
  EXPECT_EQ(of(R"({"object":"error","message":"gone","type":"NotFoundError","code":404})"), "gone|NotFoundError|404");
  EXPECT_EQ(of(R"({"error":null,"message":"x"})"), "x||");
  EXPECT_EQ(of(R"({"error":{"message":{"nested":1},"code":1.5,"type":true}})"), "||");
  EXPECT_EQ(of(R"([{"loc":["body"]}])"), "||");
  EXPECT_EQ(of("<html>"), "||");
  EXPECT_EQ(of(""), "||");
  EXPECT_EQ(read_error(Padded(R"({"error":")" + std::string(5000, 'x') + R"("})").view()).message.size(), 300u);
}

TEST(ThreadParser, gives_back_what_a_large_document_made_it_take) {
  const std::string large = with_message(R"({"content":")" + std::string(8u << 20, 'x') + R"("})");
  EXPECT_EQ(answer(large).kind, Answer::Kind::kGood);
  EXPECT_EQ(ThreadStructure::capacity(), 0u);
  EXPECT_EQ(read_error(Padded(large).view()).message, "");
  const auto request_of = [](std::size_t size) {
    return R"({"model":"m","messages":[{"role":"user","content":")" + std::string(size, 'x') + R"("}]})";
  };
  EXPECT_TRUE(std::holds_alternative<ChatRequest>(decode_chat_request(Padded(request_of(8u << 20)).view())));
  EXPECT_LE(ThreadParser::capacity(), ThreadParser::kKept);
  EXPECT_EQ(answer(with_message(R"({"content":"x"})")).kind, Answer::Kind::kGood);
  EXPECT_TRUE(std::holds_alternative<ChatRequest>(decode_chat_request(Padded(request_of(8)).view())));
  EXPECT_GT(ThreadParser::capacity(), 0u);
  EXPECT_GT(ThreadStructure::capacity(), 0u);
}

TEST(IsJson, is_the_whole_of_it) {
  for (const char* const good : {"{}", "[]", " {\"a\":[1,2]} \n", "null", "\"x\"", "7"})
    EXPECT_TRUE(is_json(Padded(good).view())) << good;
  for (const char* const bad : {"", " ", "<html>", "{", "{}x", "{}{}", "plain text", "{'a':1}"})
    EXPECT_FALSE(is_json(Padded(bad).view())) << bad;
}

TEST(Events, what_is_added_is_a_chunk_of_the_same_stream) {
  StreamFacts facts;
  facts.id = "chat\"cmpl";
  facts.model = "m\n";
  facts.created = 17;
  facts.choices = {{0, true, false, false, false},
                   {1, true, true, false, false},
                   {2, true, false, true, false},
                   {3, true, false, false, true}};
  const std::string role = role_event(facts, 3);
  std::string finishes = finish_events(facts);
  std::vector<json> events{json::parse(role.substr(6))};
  while (!finishes.empty()) {
    ASSERT_TRUE(finishes.starts_with("data: "));
    const std::size_t end = finishes.find("\n\n");
    ASSERT_NE(end, std::string::npos);
    events.push_back(json::parse(finishes.substr(6, end - 6)));
    finishes.erase(0, end + 2);
  }
  ASSERT_EQ(events.size(), 4u);
  for (const json& event : events) {
    EXPECT_EQ(event["id"], "chat\"cmpl");
    EXPECT_EQ(event["model"], "m\n");
    EXPECT_EQ(event["created"], 17);
    EXPECT_EQ(event["object"], "chat.completion.chunk");
  }
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[0]["choices"][0]["index"], 3);
  const std::pair<int, const char*> wanted[] = {{0, "stop"}, {2, "tool_calls"}, {3, "function_call"}};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(events[i + 1]["choices"][0]["index"], wanted[i].first);
    EXPECT_EQ(events[i + 1]["choices"][0]["finish_reason"], wanted[i].second);
  }
}

}  // namespace
}  // namespace spillway::api::openai
