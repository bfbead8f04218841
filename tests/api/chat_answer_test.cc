#include "api/openai/chat_answer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/openai/chat_request.h"
#include "api/openai/thread_parser.h"
#include "api/padded.h"

namespace spillway::api::openai {
namespace {

using nlohmann::json;
using testing::Padded;
using Kind = Chunk::Kind;

Chunk chunk(std::string_view data, bool with_identity = false) {
  return read_chunk(Padded(data).view(), with_identity);
}
Answer answer(std::string_view body) { return read_answer(Padded(body).view()); }
std::string with_delta(const std::string& delta) {
  return R"({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":)" +
         delta + R"(,"finish_reason":null}]})";
}
std::string with_message(const std::string& message) {
  return R"({"id":"c","choices":[{"index":0,"message":)" + message + R"(,"finish_reason":"stop"}]})";
}

TEST(Chunk, what_a_reader_waits_for_is_a_token) {
  for (const std::string delta :
       {R"({"content":"x"})", R"({"role":"assistant","content":" "})", R"({"reasoning_content":"x"})",
        R"({"content":null,"reasoning_content":"x"})", R"({"content":"","reasoning":"x"})", R"({"refusal":"no"})",
        R"({"content":[{"type":"text","text":"x"}]})", R"({"reasoning_content":"","content":"x"})"}) {
    const Chunk read = chunk(with_delta(delta));
    EXPECT_EQ(read.kind, Kind::kChunk) << delta;
    EXPECT_TRUE(read.token) << delta;
    EXPECT_FALSE(read.tool_call) << delta;
  }
}

TEST(Chunk, a_tool_call_is_a_token_and_told_apart) {
  for (const std::string delta : {R"({"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]})",
                                  R"({"function_call":{"name":"f"}})", R"({"content":null,"tool_calls":[{}]})"}) {
    const Chunk read = chunk(with_delta(delta));
    EXPECT_TRUE(read.token) << delta;
    EXPECT_TRUE(read.tool_call) << delta;
  }
}

TEST(Chunk, a_role_and_empty_fields_are_no_token) {
  for (const std::string delta :
       {R"({})", R"({"role":"assistant"})", R"({"role":"assistant","content":""})", R"({"content":null})",
        R"({"content":"","reasoning_content":null,"refusal":null,"tool_calls":null})", R"({"tool_calls":[]})",
        R"({"function_call":null,"audio":null})", R"({"content":[]})", R"({"logprobs":"x"})"}) {
    const Chunk read = chunk(with_delta(delta));
    EXPECT_EQ(read.kind, Kind::kChunk) << delta;
    EXPECT_FALSE(read.token) << delta;
    EXPECT_FALSE(read.tool_call) << delta;
  }
}

TEST(Chunk, role_finish_and_usage_are_seen) {
  EXPECT_TRUE(chunk(with_delta(R"({"role":"assistant"})")).role);
  EXPECT_FALSE(chunk(with_delta(R"({"role":null,"content":"x"})")).role);
  EXPECT_FALSE(chunk(with_delta("{}")).finish);
  EXPECT_TRUE(chunk(R"({"choices":[{"delta":{},"finish_reason":"stop"}]})").finish);
  EXPECT_TRUE(chunk(R"({"choices":[{"finish_reason":"length","delta":{"content":"x"}}]})").finish);
  const Chunk usage = chunk(R"({"id":"c","choices":[],"usage":{"total_tokens":7}})");
  EXPECT_EQ(usage.kind, Kind::kChunk);
  EXPECT_TRUE(usage.usage);
  EXPECT_FALSE(usage.token);
  EXPECT_FALSE(chunk(R"({"choices":[],"usage":null})").usage);
  EXPECT_EQ(chunk(R"({"usage":{"total_tokens":7}})").kind, Kind::kChunk);
}

TEST(Chunk, several_choices_are_all_looked_at) {
  const Chunk read =
      chunk(R"({"choices":[{"delta":{}},{"delta":{"content":"x"}},{"delta":{},"finish_reason":"stop"}]})");
  EXPECT_TRUE(read.token);
  EXPECT_TRUE(read.finish);
}

TEST(Chunk, identity_is_read_only_when_it_is_asked_for) {
  const std::string data = R"({"id":"chatcmpl-1","created":17,"model":"m","choices":[]})";
  const Chunk with = chunk(data, true);
  EXPECT_EQ(with.id, "chatcmpl-1");
  EXPECT_EQ(with.model, "m");
  EXPECT_EQ(with.created, 17);
  EXPECT_EQ(chunk(data, false).id, "");
  const Chunk odd = chunk(R"({"id":7,"created":"x","model":null,"choices":[{"delta":{"content":"x"}}]})", true);
  EXPECT_EQ(odd.kind, Kind::kChunk);
  EXPECT_TRUE(odd.token);
}

TEST(Chunk, done_is_done) {
  EXPECT_EQ(chunk("[DONE]").kind, Kind::kDone);
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
    const Chunk read = chunk(data);
    EXPECT_EQ(read.kind, Kind::kError) << data;
    EXPECT_EQ(read.error_message, message) << data;
  }
}

TEST(Chunk, an_error_that_is_null_is_none) {
  const Chunk read = chunk(R"({"error":null,"choices":[{"delta":{"content":"x"}}]})");
  EXPECT_EQ(read.kind, Kind::kChunk);
  EXPECT_TRUE(read.token);
}

TEST(Chunk, a_long_error_message_is_cut) {
  EXPECT_LE(chunk(R"({"error":{"message":")" + std::string(10'000, 'e') + "\"}}").error_message.size(), 300u);
}

TEST(Chunk, what_is_no_chunk_is_garbage) {
  for (const std::string data :
       {"", " ", "null", "7", "\"x\"", "[]", "{}", "hello", "<html>", R"({"choices":null})", R"({"choices":{}})",
        R"({"choices":[7]})", R"({"choices":["x"]})", R"({"choices":[{"delta":{"content":"x"}})", R"({"choices":[)",
        R"({"object":"chat.completion.chunk"})", R"({"choices":[{"delta":{"content":"x"}}])"}) {
    EXPECT_EQ(chunk(data).kind, Kind::kGarbage) << data;
  }
}

TEST(Chunk, a_chunk_cut_at_any_byte_is_garbage) {
  const std::string data = with_delta(R"({"role":"assistant","content":"h\u00e9llo","tool_calls":null})");
  ASSERT_EQ(chunk(data).kind, Kind::kChunk);
  for (std::size_t at = 0; at < data.size(); ++at) EXPECT_EQ(chunk(data.substr(0, at)).kind, Kind::kGarbage) << at;
}

TEST(Chunk, a_delta_of_a_strange_shape_is_no_token) {
  for (const std::string delta : {"null", "[]", "\"x\"", R"({"content":7})", R"({"content":{"a":1}})",
                                  R"({"tool_calls":"x"})", R"({"tool_calls":{}})", R"({"reasoning_content":["x"]})"}) {
    const Chunk read = chunk(with_delta(delta));
    EXPECT_EQ(read.kind, Kind::kChunk) << delta;
    EXPECT_FALSE(read.token) << delta;
  }
}

TEST(Chunk, fields_behind_a_strange_one_are_still_read) {
  for (const std::string odd : {R"("content":{"a":[1,{"b":2}]})", R"("tool_calls":{"a":1})",
                                R"("reasoning_content":[[1]])", R"("role":{"x":1})"}) {
    const Chunk read =
        chunk(R"({"choices":[{"delta":{)" + odd + R"(,"refusal":"x"},"finish_reason":"stop"}],"usage":{"a":1}})");
    EXPECT_TRUE(read.token) << odd;
    EXPECT_TRUE(read.finish) << odd;
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
  EXPECT_EQ(read.error_message, "busy");
  EXPECT_EQ(answer(R"({"error":"busy"})").error_message, "busy");
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
  EXPECT_LE(ThreadParser::capacity(), ThreadParser::kKept);
  EXPECT_EQ(read_error(Padded(large).view()).message, "");
  EXPECT_LE(ThreadParser::capacity(), ThreadParser::kKept);
  const std::string request =
      R"({"model":"m","messages":[{"role":"user","content":")" + std::string(8u << 20, 'x') + R"("}]})";
  EXPECT_TRUE(std::holds_alternative<ChatRequest>(decode_chat_request(Padded(request).view())));
  EXPECT_LE(ThreadParser::capacity(), ThreadParser::kKept);
  EXPECT_EQ(answer(with_message(R"({"content":"x"})")).kind, Answer::Kind::kGood);
  EXPECT_GT(ThreadParser::capacity(), 0u);
}

TEST(Events, what_is_added_is_a_chunk_of_the_same_stream) {
  Chunk first;
  first.id = "chat\"cmpl";
  first.model = "m\n";
  first.created = 17;
  const std::string role = role_event(first);
  const std::string finish = finish_event(first.id, first.model, first.created);
  for (const std::string& event : {role, finish}) {
    ASSERT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n"));
    const json data = json::parse(event.substr(6));
    EXPECT_EQ(data["id"], "chat\"cmpl");
    EXPECT_EQ(data["model"], "m\n");
    EXPECT_EQ(data["created"], 17);
    EXPECT_EQ(data["object"], "chat.completion.chunk");
  }
  EXPECT_EQ(json::parse(role.substr(6))["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(json::parse(finish.substr(6))["choices"][0]["finish_reason"], "stop");
  EXPECT_TRUE(chunk(role.substr(6, role.size() - 8)).role);
  EXPECT_TRUE(chunk(finish.substr(6, finish.size() - 8)).finish);
}

}  // namespace
}  // namespace spillway::api::openai
