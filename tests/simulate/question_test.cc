#include "simulate/question.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "simulate/answer.h"

namespace spillway::simulate {
namespace {

using nlohmann::json;

const json kAsked = {{{"role", "user"}, {"content", "why is the sky blue?"}}};

Question good(const json& body, const Profile& profile = {}) {
  auto read = read_question(body.dump(), profile);
  if (const auto* refusal = std::get_if<Refusal>(&read)) {
    ADD_FAILURE() << refusal->message;
    return {};
  }
  return std::get<Question>(read);
}

// About the middle, between two characters.
std::size_t half(const std::string& text) {
  std::size_t at = text.size() / 2;
  while ((static_cast<unsigned char>(text[at]) & 0xC0) == 0x80) ++at;
  return at;
}

// A request that tells `part` in that form.
json told(const std::string& form, const std::string& part) {
  json body = {{"model", "m"}, {"messages", kAsked}};
  if (form == "prefix_field") {
    body["prefix"] = part;
    return body;
  }
  json message = {{"role", "assistant"}, {"content", part}};
  if (form == "prefix" || form == "partial") message[form] = true;
  body["messages"].push_back(message);
  if (form == "continue_final_message") {
    body["continue_final_message"] = true;
    body["add_generation_prompt"] = false;
  }
  if (form == "ask")
    body["messages"].push_back({{"role", "user"}, {"content", "go on behind\n" + part.substr(half(part))}});
  return body;
}

std::string said(const json& body, const Profile& profile = {}) {
  std::string out;
  for (const std::string& token : make_answer(good(body, profile), profile, 0, 0).text) out += token;
  return out;
}

TEST(Question, tokens_are_the_text_in_pieces_and_none_cuts_a_character) {
  for (const std::string text : {"", "a", " the naïve café, 2.5\n天空 🦀 no no antidisestablishmentarianism"}) {
    std::string all;
    for (const std::string& token : tokenize(text)) {
      EXPECT_FALSE(token.empty());
      EXPECT_NE(static_cast<unsigned char>(token[0]) & 0xC0, 0x80) << token;
      all += token;
    }
    EXPECT_EQ(all, text);
  }
}

TEST(Question, an_answer_goes_on_from_any_place_in_each_form) {
  const std::string whole = said({{"model", "m"}, {"messages", kAsked}});
  std::string part;
  for (const std::string& token : tokenize(whole.substr(0, half(whole)))) {
    part += token;
    for (const std::string form : {"prefix", "partial", "prefix_field", "continue_final_message", "assistant"}) {
      EXPECT_EQ(part + said(told(form, part)), whole) << form;
      EXPECT_EQ(good(told(form, part)).form, form);
    }
    if (part.size() < 8) continue;
    EXPECT_EQ(part.substr(0, half(part)) + said(told("ask", part)), whole);
  }
}

TEST(Question, a_part_whose_white_space_was_trimmed_goes_on_with_it) {
  Profile profile;
  profile.text = "one two \n three";
  EXPECT_EQ(said(told("assistant", "one two"), profile), " \n three");
  EXPECT_EQ(said(told("assistant", "one two \n"), profile), " three");
}

TEST(Question, a_form_that_is_not_in_the_profile_is_refused) {
  Profile profile;
  profile.resume = {"prefix"};
  EXPECT_EQ(good(told("prefix", "a"), profile).prefix, "a");
  for (const std::string form : {"partial", "prefix_field", "continue_final_message", "assistant"}) {
    const auto read = read_question(told(form, "a").dump(), profile);
    ASSERT_TRUE(std::holds_alternative<Refusal>(read)) << form;
    EXPECT_EQ(std::get<Refusal>(read).status, 400);
  }
}

TEST(Question, what_is_no_request_is_refused) {
  for (const char* const body : {"", "[]", "{", "{}", R"({"messages":[]})", R"({"messages":"a"})",
                                 R"({"messages":[1]})", R"({"messages":[{"role":"user"}],"n":2})"})
    EXPECT_TRUE(std::holds_alternative<Refusal>(read_question(body, {}))) << body;
}

TEST(Question, thinking_is_switched_off_in_each_way) {
  Profile profile;
  profile.reasoning_tokens = 4;
  const auto reasons = [&](json more) {
    json body = {{"model", "m"}, {"messages", kAsked}};
    body.update(more);
    return make_answer(good(body, profile), profile, 0, 0).reasoning.size();
  };
  EXPECT_EQ(reasons(json::object()), 4u);
  EXPECT_EQ(reasons({{"thinking", {{"type", "enabled"}}}}), 4u);
  for (const json& off :
       {json{{"thinking", {{"type", "disabled"}}}}, json{{"enable_thinking", false}},
        json{{"reasoning_effort", "none"}}, json{{"chat_template_kwargs", {{"enable_thinking", false}}}}})
    EXPECT_EQ(reasons(off), 0u) << off;
}

TEST(Question, a_limit_of_tokens_is_kept_and_usage_is_counted) {
  json body = {{"model", "m"}, {"messages", kAsked}, {"max_tokens", 5}};
  const Answer cut = make_answer(good(body), {}, 3, 0);
  EXPECT_EQ(cut.completion_tokens(), 5);
  EXPECT_EQ(cut.finish, "length");
  EXPECT_EQ(cut.prompt_tokens, static_cast<std::int64_t>(tokenize("why is the sky blue?").size()));
  body.erase("max_tokens");
  EXPECT_EQ(make_answer(good(body), {}, 3, 0).finish, "stop");
}

TEST(Question, tools_are_called_as_often_as_the_profile_says) {
  Profile profile;
  profile.tool_calls = 2;
  json body = {{"model", "m"}, {"messages", kAsked}};
  EXPECT_TRUE(make_answer(good(body, profile), profile, 0, 0).calls.empty());
  body["tools"] = {{{"type", "function"}, {"function", {{"name", "look_up"}}}}};
  const Answer answer = make_answer(good(body, profile), profile, 0, 0);
  ASSERT_EQ(answer.calls.size(), 2u);
  EXPECT_EQ(answer.finish, "tool_calls");
  for (const Answer::Call& call : answer.calls) {
    std::string arguments;
    for (const std::string& piece : call.arguments) arguments += piece;
    EXPECT_TRUE(json::accept(arguments)) << arguments;
    EXPECT_EQ(call.name, "look_up");
  }
}

}  // namespace
}  // namespace spillway::simulate
