#include "api/chat_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "api/continuation.h"
#include "api/json_check.h"
#include "api/padded.h"

namespace spillway::api::openai {
namespace {

using nlohmann::json;
using testing::Padded;

std::variant<ChatRequest, ApiError> decode(std::string_view body) { return decode_chat_request(Padded(body).view()); }

ChatRequest good(std::string_view body) {
  auto decoded = decode(body);
  if (const auto* error = std::get_if<ApiError>(&decoded)) {
    ADD_FAILURE() << body.substr(0, 200) << ": " << error->message;
    return {};
  }
  return std::get<ChatRequest>(std::move(decoded));
}

ApiError bad(std::string_view body) {
  auto decoded = decode(body);
  if (std::holds_alternative<ChatRequest>(decoded)) {
    ADD_FAILURE() << "accepted: " << body.substr(0, 200);
    return {};
  }
  return std::get<ApiError>(std::move(decoded));
}

std::string joined(std::string_view body, std::vector<Edit> edits) {
  std::string out;
  for (const std::string_view piece : splice(body, edits)) out += piece;
  return out;
}

std::string splice(std::string_view body, const std::string& quoted_model) {
  const ChatRequest request = good(body);
  return joined(body, {{request.model_begin, request.model_end, quoted_model}});
}

std::string continued(const std::string& body, ResumeForm form, const std::string& prefix, std::uint64_t tokens = 0) {
  return joined(body, continuation_edits(good(body), {form, prefix, tokens}));
}

std::string with_member(const std::string& body, std::string_view object, std::string_view name,
                        std::string_view value) {
  return joined(body, {member_edit(Padded(body).view(), good(body).object_end, object, name, value)});
}

TEST(MemberEdit, a_member_is_set_and_all_else_stays) {
  struct Row {
    std::string object;
    std::string name;
    std::string before;  // members of the body behind its messages
    std::string after;
  };
  const Row table[] = {
      {"", "thinking", "", R"(,"thinking":1)"},
      {"", "thinking", R"(,"thinking":{"type":"enabled","x":[1]} ,"a":2)", R"(,"thinking":1 ,"a":2)"},
      {"", "thinking", R"(,"a":{"thinking":7})", R"(,"a":{"thinking":7},"thinking":1)"},
      {"kwargs", "think", "", R"(,"kwargs":{"think":1})"},
      {"kwargs", "think", R"(,"kwargs":{})", R"(,"kwargs":{"think":1})"},
      {"kwargs", "think", R"(,"kwargs": { } ,"b":1)", R"(,"kwargs": {"think":1 } ,"b":1)"},
      {"kwargs", "think", R"(,"kwargs":{"a":"}"},"b":1)", R"(,"kwargs":{"think":1,"a":"}"},"b":1)"},
      {"kwargs", "think", R"(,"kwargs":{"a":1,"think": true },"b":1)", R"(,"kwargs":{"a":1,"think": 1 },"b":1)"},
      {"kwargs", "think", R"(,"kwargs":null)", R"(,"kwargs":{"think":1})"},
  };
  const std::string begin = R"({"model":"m","messages":[{"role":"user","content":"é"}])";
  for (const Row& row : table) {
    EXPECT_EQ(with_member(begin + row.before + "}", row.object, row.name, "1"), begin + row.after + "}") << row.before;
  }
}

TEST(ChatRequest, the_least_that_is_accepted) {
  const ChatRequest request = good(R"({"model":"m","messages":[]})");
  EXPECT_EQ(request.model, "m");
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.include_usage);
}

TEST(ChatRequest, stream_and_usage_are_read_wherever_they_stand) {
  const ChatRequest request = good(
      R"({"stream":true,"x":{"stream":false,"model":"no"},"stream_options":{"a":[1],"include_usage":true},"messages":[{"model":"no"}],"model":"m"})");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_EQ(request.model, "m");
  EXPECT_FALSE(good(R"({"model":"m","messages":[],"stream":false})").stream);
  EXPECT_FALSE(good(R"({"model":"m","messages":[],"stream":null,"stream_options":null})").stream);
  EXPECT_FALSE(
      good(R"({"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":false}})").include_usage);
  EXPECT_FALSE(good(R"({"model":"m","messages":[],"stream_options":{"include_usage":"true"}})").include_usage);
}

TEST(ChatRequest, the_splice_changes_the_model_and_nothing_else) {
  const std::pair<std::string, std::string> table[] = {
      {R"({"model":"a","messages":[]})", R"({"model":"new","messages":[]})"},
      {"{ \"model\" \t:\r\n  \"a\"  \n , \"messages\" : [ ] }",
       "{ \"model\" \t:\r\n  \"new\"  \n , \"messages\" : [ ] }"},
      {R"({"messages":[],"model":"a"})", R"({"messages":[],"model":"new"})"},
      {R"({"messages":[{"content":"\"model\":\"a\""}],"model":"a"})",
       R"({"messages":[{"content":"\"model\":\"a\""}],"model":"new"})"},
      {R"({"mod\u0065l":"\u0061\"\\","messages":[]})", R"({"mod\u0065l":"new","messages":[]})"},
  };
  for (const auto& [body, wanted] : table) {
    EXPECT_EQ(splice(body, "\"new\""), wanted);
  }
}

TEST(ChatRequest, escapes_in_the_model_are_resolved) {
  EXPECT_EQ(good(R"({"model":"a\u00e9\n\"\\\/\ud83d\ude00","messages":[]})").model, "a\u00e9\n\"\\/\U0001F600");
  EXPECT_EQ(good("{\"model\":\"\u6a21\u578b\",\"messages\":[]}").model, "\u6a21\u578b");
}

TEST(ChatRequest, white_space_around_the_body_is_fine) {
  EXPECT_EQ(good(" \r\n\t{\"model\":\"m\",\"messages\":[]} \r\n\t ").model, "m");
  EXPECT_EQ(splice("\n{\"model\":\"m\",\"messages\":[]}\n", "\"n\""), "\n{\"model\":\"n\",\"messages\":[]}\n");
}

TEST(ChatRequest, what_is_missing_or_of_the_wrong_type_is_named) {
  const std::pair<std::string, std::string> table[] = {
      {R"({"messages":[]})", "model"},
      {R"({"model":"","messages":[]})", "model"},
      {R"({"model":null,"messages":[]})", "model"},
      {R"({"model":7,"messages":[]})", "model"},
      {R"({"model":["m"],"messages":[]})", "model"},
      {R"({"model":{"m":1},"messages":[]})", "model"},
      {R"({"model":"m"})", "messages"},
      {R"({"model":"m","messages":"hello"})", "messages"},
      {R"({"model":"m","messages":null})", "messages"},
      {R"({"model":"m","messages":{}})", "messages"},
      {R"({"model":"m","messages":[],"stream":"true"})", "stream"},
      {R"({"model":"m","messages":[],"stream":1})", "stream"},
      {R"({"model":"m","messages":[],"stream":{}})", "stream"},
  };
  for (const auto& [body, param] : table) {
    const ApiError error = bad(body);
    EXPECT_EQ(error.status, 400);
    EXPECT_EQ(error.code, "invalid_request");
    EXPECT_EQ(error.param, param) << body;
    EXPECT_NE(error.message.find(param), std::string::npos) << error.message;
  }
}

TEST(ChatRequest, a_field_that_stands_twice_is_refused_also_when_it_is_escaped) {
  const std::pair<std::string, std::string> table[] = {
      {R"({"model":"a","model":"a","messages":[]})", "model"},
      {R"({"model":"a","messages":[],"mod\u0065l":"b"})", "model"},
      {R"({"\u006dodel":"a","messages":[],"model":"b"})", "model"},
      {R"({"model":"a","messages":[],"messages":[]})", "messages"},
      {R"({"model":"a","messages":[],"stream":true,"stream":true})", "stream"},
      {R"({"model":"a","messages":[],"stream":null,"stream":true})", "stream"},
      {R"({"model":"a","messages":[],"stream_options":{},"stream_options":null})", "stream_options"},
  };
  for (const auto& [body, param] : table) EXPECT_EQ(bad(body).param, param) << body;
}

TEST(ChatRequest, what_is_not_json_is_refused) {
  const std::string before = R"({"model":"m","messages":[])";
  for (const std::string body : {"", " ", "null", "[]", "\"model\"", "7", "true", "{", "}", "{]", "{\"model\"}",
                                 "{\"model\":}", "{\"model\":\"m\"", "{model:\"m\",\"messages\":[]}", "{'model':'m'}",
                                 "{\"model\":\"m\" \"messages\":[]}", "{\"model\":\"m\",,\"messages\":[]}"}) {
    EXPECT_EQ(bad(body).status, 400) << body;
  }
  for (const std::string rest : {",}",
                                 "",
                                 ",\"a\"}",
                                 ",\"a\":}",
                                 ",\"a\":1,}",
                                 ",\"a\":[1,]}",
                                 ",\"a\":[,1]}",
                                 ",\"a\":[1 2]}",
                                 ",\"a\":{\"b\" 1}}",
                                 ",\"a\":\"x}",
                                 ",\"a\":\"\\x\"}",
                                 ",\"a\":\"\\u12\"}",
                                 ",\"a\":\"\\u12g4\"}",
                                 ",\"a\":tru}",
                                 ",\"a\":truex}",
                                 ",\"a\":nul}",
                                 ",\"a\":nulll}",
                                 ",\"a\":falsee}",
                                 ",\"a\":TRUE}",
                                 ",\"a\":NaN}",
                                 ",\"a\":Infinity}",
                                 ",\"a\":undefined}",
                                 ",\"a\":!}",
                                 ",\"stream\":!}",
                                 ",\"stream\":tru}",
                                 ",\"stream\":nul}",
                                 ",\"stream_options\":!}",
                                 ",\"stream_options\":{\"include_usage\":!}}",
                                 ",\"stream_options\":{\"include_usage\":tru}}",
                                 ",\"stream_options\":{\"include_usage\" true}}",
                                 ",\"stream_options\":{!}}",
                                 ",\"a\":\"tab\there\"}",
                                 ",\"a\":\"line\nhere\"}",
                                 ",a:1}",
                                 ",1:1}",
                                 ",/* c */\"a\":1}",
                                 ",\"a\":\"b\"c}",
                                 ",\"a\":\"b\"1}",
                                 ",\"a\":[\"b\"1]}",
                                 ",\"a\":[1]2}",
                                 ",\"a\":{}\"b\"}",
                                 ",\"a\":[[]}",
                                 ",\"a\":[}]}",
                                 ",\"a\":[{]}"}) {
    const std::string body = before + rest;
    ASSERT_FALSE(json::accept(body)) << body;
    EXPECT_EQ(bad(body).status, 400) << body;
  }
}

TEST(ChatRequest, bytes_behind_the_object_are_refused) {
  const std::string body = R"({"model":"m","messages":[]})";
  for (const std::string rest : {"x", "{}", ",", "}", "]", "\"", " 1", "\nnull", body.c_str()}) {
    EXPECT_EQ(bad(body + rest).status, 400) << rest;
  }
  EXPECT_EQ(bad(body + std::string(1, '\0')).status, 400);
}

TEST(ChatRequest, a_member_of_a_wrong_type_is_named) {
  struct Row {
    std::string member;
    std::string param;
  };
  for (const auto& [member, param] : std::vector<Row>{{R"("temperature":"hot")", "temperature"},
                                                      {R"("max_tokens":[1])", "max_tokens"},
                                                      {R"("stop":{"a":1})", "stop"},
                                                      {R"("tools":{})", "tools"},
                                                      {R"("tool_choice":1)", "tool_choice"},
                                                      {R"("parallel_tool_calls":"yes")", "parallel_tool_calls"},
                                                      {R"("response_format":"json")", "response_format"},
                                                      {R"("logprobs":"x")", "logprobs"},
                                                      {R"("user":5)", "user"}}) {
    const ApiError error = bad(R"({"model":"m","messages":[],)" + member + "}");
    EXPECT_EQ(error.param, param) << member;
    EXPECT_THAT(error.message, ::testing::HasSubstr("has to be"));
  }
  for (const std::string messages : {"[1]", "[[]]", R"([{"role":1}])", R"([{"role":"user","content":5}])", "[null]"})
    EXPECT_EQ(bad(R"({"model":"m","messages":)" + messages + "}").param, "messages") << messages;
  good(R"({"model":"m","messages":[{"role":"user","content":null}],"temperature":null,"stop":null,"tools":null})");
}

TEST(ChatRequest, a_member_that_stands_twice_is_refused_at_any_depth) {
  EXPECT_EQ(bad(R"({"model":"m","messages":[],"x":1,"x":2})").param, "x");
  EXPECT_EQ(bad(R"({"model":"m","messages":[{"role":"user","role":"system"}]})").status, 400);
  EXPECT_EQ(bad(R"({"model":"m","messages":[],"x":{"y":[{"z":1,"z":1}]}})").status, 400);
  EXPECT_EQ(bad(R"({"model":"m","messages":[],"x":1,"\u0078":2})").status, 400);
  std::string many = "{\"k0\":0";
  for (int i = 1; i < 60; ++i) many += ",\"k" + std::to_string(i) + "\":0";
  good(R"({"model":"m","messages":[],"x":)" + many + "}}");
  EXPECT_EQ(bad(R"({"model":"m","messages":[],"x":)" + many + ",\"k50\":1}}").status, 400);
}

TEST(ChatRequest, values_that_touch_are_no_json) {
  for (const std::string value :
       {R"(0"b")", R"(0"b":1)", R"("b""c")", R"(true"c")", "[0 1]", R"([0"a"])", "truefalse", "1null"})
    EXPECT_EQ(bad(R"({"model":"m","messages":[],"x":)" + value + "}").status, 400) << value;
}

TEST(ChatRequest, numbers_follow_the_grammar_and_may_be_of_any_size) {
  const auto with = [](const std::string& number) { return R"({"model":"m","messages":[],"n":)" + number + "}"; };
  for (const std::string number :
       {"0", "-0", "1", "-1", "0.5", "1e5", "1E+5", "1e-5", "-0.0e0", "123456789012345678901234567890", "1e400",
        "0.1234567890123456789012345678901234567890", "-1e-400", "1.5 "}) {
    EXPECT_TRUE(std::holds_alternative<ChatRequest>(decode(with(number)))) << number;
    const std::string list = R"({"model":"m","messages":[],"x":[)" + number + "," + number + "]}";
    EXPECT_TRUE(std::holds_alternative<ChatRequest>(decode(list))) << number;
  }
  for (const std::string number :
       {"01", "-", "-01", "1.", ".5", "+1", "1e", "1e+", "0x10", "1_0", "1.2.3", "--1", "1e5.5", "00", "1a", "-a"}) {
    EXPECT_EQ(bad(with(number)).status, 400) << number;
    EXPECT_EQ(bad(with("[" + number + "]")).status, 400) << number;
  }
}

TEST(ChatRequest, what_is_not_utf8_is_refused) {
  for (const std::string bytes :
       {"\xff", "\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe4\xbd"}) {
    EXPECT_NE(bad("{\"model\":\"m\",\"messages\":[\"" + bytes + "\"]}").message.find("UTF-8"), std::string::npos);
    EXPECT_EQ(bad("{\"model\":\"m" + bytes + "\",\"messages\":[]}").status, 400);
    EXPECT_EQ(bad("{\"model\":\"m\",\"messages\":[],\"" + bytes + "\":1}").status, 400);
  }
}

TEST(ChatRequest, a_byte_order_mark_is_refused) {
  EXPECT_EQ(bad("\xEF\xBB\xBF{\"model\":\"m\",\"messages\":[]}").status, 400);
}

TEST(ChatRequest, a_surrogate_that_stands_alone_is_refused) {
  for (const std::string text :
       {R"(\ud83d)", R"(\ud83dx)", R"(\ud83d\n)", R"(\ud83d\u0041)", R"(\ude00)", R"(\ud83d\ud83d)"}) {
    EXPECT_EQ(bad(R"({"model":"m","messages":[{"content":")" + text + "\"}]}").status, 400) << text;
    EXPECT_EQ(bad(R"({"model":")" + text + R"(","messages":[]})").status, 400) << text;
    EXPECT_EQ(bad(R"({"model":"m","messages":[],")" + text + R"(":1})").status, 400) << text;
  }
}

TEST(ChatRequest, the_limit_of_depth_holds_at_its_edge) {
  const auto nested = [](int depth, const std::string& open, const std::string& close) {
    std::string body = R"({"model":"m","messages":[],"x":)";
    for (int i = 0; i < depth; ++i) body += i == 0 ? "[" : open;
    for (int i = 0; i < depth; ++i) body += i == depth - 1 ? "]" : close;
    return body + "}";
  };
  EXPECT_EQ(good(nested(kMaxDepth, "[", "]")).model, "m");
  const ApiError error = bad(nested(kMaxDepth + 1, "[", "]"));
  EXPECT_EQ(error.status, 400);
  EXPECT_NE(error.message.find("128"), std::string::npos) << error.message;
  for (const int depth : {1000, 2000, 100'000}) EXPECT_EQ(bad(nested(depth, "[", "]")).status, 400) << depth;
  EXPECT_EQ(bad(R"({"model":"m","messages":)" + std::string(100'000, '[')).status, 400);
}

TEST(ChatRequest, objects_count_as_levels_too) {
  const auto nested = [](int depth) {
    std::string body = R"({"model":"m","messages":[],"x":)";
    for (int i = 0; i < depth; ++i) body += "{\"a\":";
    body += "1";
    return body + std::string(static_cast<std::size_t>(depth), '}') + "}";
  };
  EXPECT_EQ(good(nested(kMaxDepth - 1)).model, "m");
  EXPECT_EQ(bad(nested(kMaxDepth + 1)).status, 400);
}

TEST(ChatRequest, a_mebibyte_of_content_is_taken) {
  const std::string content(1u << 20, 'x');
  const std::string body = R"({"messages":[{"role":"user","content":")" + content + R"("}],"model":"m","stream":true})";
  const ChatRequest request = good(body);
  EXPECT_TRUE(request.stream);
  EXPECT_EQ(splice(body, "\"n\"").size(), body.size());
}

TEST(Continuation, each_form_is_on_the_wire_as_its_servers_want_it) {
  const std::string body = R"({"messages":[{"role":"user","content":"]}"} ] ,"model":"m", "max_tokens" : 100 })";
  const auto expect = [&](ResumeForm form, const std::string& wanted) {
    const std::string got = continued(body, form, "so \"far\" ", 30);
    EXPECT_EQ(got, wanted);
    good(got);
  };
  expect(
      ResumeForm::kPrefix,
      R"({"messages":[{"role":"user","content":"]}"} ,{"role":"assistant","content":"so \"far\" ","prefix":true}] ,"model":"m", "max_tokens" : 70 })");
  expect(
      ResumeForm::kPartial,
      R"({"messages":[{"role":"user","content":"]}"} ,{"role":"assistant","content":"so \"far\" ","partial":true}] ,"model":"m", "max_tokens" : 70 })");
  expect(
      ResumeForm::kAssistant,
      R"({"messages":[{"role":"user","content":"]}"} ,{"role":"assistant","content":"so \"far\""}] ,"model":"m", "max_tokens" : 70 })");
  expect(ResumeForm::kPrefixField,
         R"({"messages":[{"role":"user","content":"]}"} ] ,"model":"m", "max_tokens" : 70 ,"prefix":"so \"far\" "})");
  expect(
      ResumeForm::kContinueFinalMessage,
      R"({"messages":[{"role":"user","content":"]}"} ,{"role":"assistant","content":"so \"far\" "}] ,"model":"m", "max_tokens" : 70 ,"continue_final_message":true,"add_generation_prompt":false})");
  expect(ResumeForm::kReplay, body);
}

TEST(Continuation, asking_adds_the_part_and_the_wish_to_repeat_its_end) {
  const std::string body = R"({"messages":[{"role":"user","content":"hi"}],"model":"m"})";
  const auto decoded = nlohmann::json::parse(
      joined(body, continuation_edits(good(body), {ResumeForm::kAsk, "so far so good", 3, 0, "so good"})));
  ASSERT_EQ(decoded["messages"].size(), 3u);
  EXPECT_EQ(decoded["messages"][1], (nlohmann::json{{"role", "assistant"}, {"content", "so far so good"}}));
  EXPECT_EQ(decoded["messages"][2]["role"], "user");
  EXPECT_TRUE(std::string(decoded["messages"][2]["content"]).ends_with("\nso good"));
}

TEST(Continuation, what_is_to_be_repeated_does_not_come_out_of_the_rest_of_max_tokens) {
  const std::string body = R"({"messages":[{"role":"user","content":"x"}],"model":"m","max_tokens":20})";
  for (const ResumeForm form : {ResumeForm::kAsk, ResumeForm::kPrefix, ResumeForm::kAssistant}) {
    EXPECT_THAT(joined(body, continuation_edits(good(body), {form, "one two three", 8, 2, "three"})),
                ::testing::HasSubstr("\"max_tokens\":14"));
  }
}

TEST(Continuation, an_empty_list_of_messages_gets_no_comma_and_a_spent_limit_leaves_one_token) {
  EXPECT_EQ(continued(R"({"model":"m","messages":[ ]})", ResumeForm::kAssistant, "x"),
            R"({"model":"m","messages":[ {"role":"assistant","content":"x"}]})");
  EXPECT_EQ(continued(R"({"max_completion_tokens":5,"model":"m","messages":[]})", ResumeForm::kAssistant, "x", 9),
            R"({"max_completion_tokens":1,"model":"m","messages":[{"role":"assistant","content":"x"}]})");
}

TEST(ChatRequest, what_forbids_to_continue_an_answer_is_seen) {
  const auto with = [](const std::string& more) { return good(R"({"model":"m","messages":[],)" + more + "}"); };
  EXPECT_EQ(with(R"("n":2)").n, 2);
  EXPECT_EQ(with(R"("n":null)").n, 1);
  EXPECT_TRUE(with(R"("logprobs":true)").logprobs);
  EXPECT_FALSE(with(R"("logprobs":false)").logprobs);
  for (const char* const key : {"response_format", "grammar", "guided_json", "structured_outputs"})
    EXPECT_TRUE(with("\"" + std::string(key) + R"(":{"a":1})").constrained) << key;
  EXPECT_FALSE(with(R"("response_format":null)").constrained);
  EXPECT_EQ(with(R"("max_tokens":null)").max_tokens, -1);
  EXPECT_EQ(with(R"("max_tokens":17)").max_tokens, 17);
}

TEST(ChatRequest, a_body_cut_at_any_byte_is_refused) {
  const std::string body =
      R"({"model":"m\u00e9","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}],"n":1.5})";
  good(body);
  for (std::size_t at = 0; at < body.size(); ++at) EXPECT_EQ(bad(body.substr(0, at)).status, 400) << at;
}

}  // namespace
}  // namespace spillway::api::openai
