#include "simulate/faults.h"

#include <gtest/gtest.h>

#include <set>

namespace spillway::simulate {
namespace {

Question question(bool stream) {
  Question out;
  out.stream = stream;
  out.include_usage = true;
  out.tool = "t";
  out.subject = "s";
  return out;
}

Answer answer(const Question& asked) {
  Profile profile;
  profile.tool_calls = 2;
  profile.reasoning_tokens = 3;
  return make_answer(asked, profile, 1, 2);
}

std::string bytes_of(const Plan& plan) {
  std::string out;
  for (const Step& step : plan) out += step.bytes;
  return out;
}

Plan plan_of(std::string_view kind, bool stream, double at = 0.5) {
  const Question asked = question(stream);
  Strike strike;
  strike.fault = find_fault(kind);
  strike.kind = kind;
  strike.at = at;
  return make_plan(asked, answer(asked), {milliseconds(100), 50}, strike);
}

TEST(Faults, each_has_one_name_and_a_plan_in_both_ways_wherever_it_strikes) {
  std::set<std::string_view> names;
  for (const Fault& fault : faults()) {
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_EQ(find_fault(fault.name), &fault);
    EXPECT_FALSE(fault.about.empty());
    for (const bool stream : {true, false}) {
      for (const double at : {0.0, 0.001, 0.5, 0.999, 1.0}) {
        const Plan plan = plan_of(fault.name, stream, at);
        EXPECT_FALSE(plan.empty()) << fault.name;
        EXPECT_EQ(bytes_of(plan), bytes_of(plan_of(fault.name, stream, at)));
      }
    }
  }
}

TEST(Faults, any_status_of_an_error_is_one) {
  EXPECT_NE(find_fault("400"), nullptr);
  EXPECT_NE(find_fault("529"), nullptr);
  for (const char* const word : {"200", "600", "5030", "50", "", "ok", "x03"})
    EXPECT_EQ(find_fault(word), nullptr) << word;
  EXPECT_EQ(bytes_of(plan_of("529", true)).substr(0, 12), "HTTP/1.1 529");
}

TEST(Faults, within_the_answer_some_of_it_was_said_and_not_all) {
  Question asked = question(true);
  asked.tool.clear();  // only text
  const Answer whole = answer(asked);
  for (const std::string_view name : {"reset", "end", "stall", "error_event", "bad_json", "bad_chunk",
                                      "cut_in_character", "cut_in_word", "cut_in_field"}) {
    for (const double at : {0.0, 0.3, 1.0}) {
      Strike strike;
      strike.fault = find_fault(name);
      strike.kind = name;
      strike.at = at;
      const std::string bytes = bytes_of(make_plan(asked, whole, {}, strike));
      EXPECT_NE(bytes.find("\"content\":\"" + whole.text.front().substr(0, 2)), std::string::npos) << name;
      EXPECT_EQ(bytes.find("[DONE]"), std::string::npos) << name;
      EXPECT_EQ(bytes.find("\"finish_reason\":\"stop\""), std::string::npos) << name;
    }
  }
}

TEST(Faults, a_good_answer_takes_its_time) {
  const Question asked = question(true);
  const Plan plan = make_plan(asked, answer(asked), {milliseconds(100), 50}, {});
  milliseconds total{0};
  int tokens = 0;
  for (const Step& step : plan) {
    total += step.time;
    tokens += step.tokens;
  }
  EXPECT_GT(tokens, 60);
  EXPECT_EQ(total, milliseconds(100) + (tokens - 1) * milliseconds(20));
  EXPECT_NE(bytes_of(plan).find("data: [DONE]"), std::string::npos);
  EXPECT_NE(bytes_of(plan).find("\"choices\":[],\"usage\":{"), std::string::npos);
  const Plan fast = make_plan(asked, answer(asked), {}, {});
  for (const Step& step : fast) EXPECT_EQ(step.kind, Step::Kind::kSend);
}

TEST(Faults, a_retry_after_is_told_in_seconds_and_where_that_is_coarse_in_milliseconds) {
  Strike strike;
  strike.fault = find_fault("429");
  strike.kind = "429";
  strike.retry_after = milliseconds(2'000);
  strike.code = "slow_down";
  const Question asked = question(false);
  std::string bytes = bytes_of(make_plan(asked, answer(asked), {}, strike));
  EXPECT_NE(bytes.find("Retry-After: 2\r\n"), std::string::npos);
  EXPECT_NE(bytes.find("\"code\":\"slow_down\""), std::string::npos);
  strike.retry_after = milliseconds(250);
  bytes = bytes_of(make_plan(asked, answer(asked), {}, strike));
  EXPECT_NE(bytes.find("Retry-After: 1\r\nretry-after-ms: 250\r\n"), std::string::npos);
}

}  // namespace
}  // namespace spillway::simulate
