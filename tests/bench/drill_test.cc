#include "bench/drill.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway::bench {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Drilled answered(double first_token_ms, std::vector<Tried> tried, double cost = 0) {
  Drilled out;
  out.sample.answered = true;
  out.sample.status = 200;
  out.sample.cls = "answered";
  out.sample.first_token_ms = first_token_ms;
  out.sample.backend = tried.empty() ? "" : tried.back().backend;
  out.tried = std::move(tried);
  out.cost = cost;
  return out;
}

Drilled failed(std::string cls, int status) {
  Drilled out;
  out.sample.cls = std::move(cls);
  out.sample.status = status;
  out.tried = {{"a", out.sample.cls, 0, true}};
  return out;
}

Drill a_drill() {
  Drill drill;
  drill.simulated = {"a", "b</script><b>"};
  drill.overloaded = "a";
  drill.peak = "18.7 % of its calls fail";
  drill.without = {answered(1'200, {{"a", "answered", 20, true}}, 0.001), failed("overload", 503), failed("cut", 200)};
  drill.with = {answered(100, {{"a", "overload", 0, true}, {"b", "answered", 20, true}}, 0.002),
                answered(300, {{"a", "shed", 0, false}, {"b", "answered", 20, true}}, 0.002)};
  Drilled calm = answered(9'999, {{"a", "answered", 1, true}}, 5);
  calm.counts = false;
  drill.with.push_back(calm);
  return drill;
}

TEST(Drill, figures_leave_the_lead_in_and_what_was_not_sent_out) {
  const Drill drill = a_drill();
  const Side with = figures_of(drill.with);
  EXPECT_EQ(with.requests, 2u);
  EXPECT_EQ(with.answered, 2u);
  EXPECT_EQ(with.p50_ms, 100);
  EXPECT_EQ(with.p95_ms, 300);
  EXPECT_EQ(with.calls, 3u);
  EXPECT_DOUBLE_EQ(with.calls_per_request, 1.5);
  EXPECT_DOUBLE_EQ(with.cost, 0.004);
  EXPECT_EQ(with.backends.at("b"), 2u);
  EXPECT_EQ(with.attempts.at("a shed"), 1u);
  const Side without = figures_of(drill.without);
  EXPECT_EQ(without.failures.at("overload 503"), 1u);
  EXPECT_EQ(without.failures.at("cut"), 1u);
}

TEST(Drill, nothing_at_all_is_told_without_a_fault) {
  const Drill drill;
  EXPECT_EQ(figures_of(drill.with).calls_per_request, 0);
  EXPECT_THAT(to_text(drill), HasSubstr("requests"));
  EXPECT_NO_THROW(static_cast<void>(nlohmann::json::parse(to_json(drill))));
  EXPECT_THAT(to_html(drill), HasSubstr("</html>"));
}

TEST(Drill, each_form_says_what_is_simulated) {
  const Drill drill = a_drill();
  EXPECT_THAT(to_text(drill), HasSubstr("Simulated, so that no provider was asked: a, b"));
  EXPECT_EQ(nlohmann::json::parse(to_json(drill)).at("simulated").size(), 2u);
  EXPECT_THAT(to_html(drill), HasSubstr("<b>Simulated:</b>"));
}

TEST(Drill, the_page_is_one_file_and_names_cannot_break_it) {
  const std::string page = to_html(a_drill());
  EXPECT_THAT(page, HasSubstr("Chart.js v3.9"));
  EXPECT_THAT(page, Not(HasSubstr("b</script><b>")));
  EXPECT_THAT(page, HasSubstr("b&lt;/script&gt;"));
  EXPECT_THAT(page, Not(HasSubstr("src=")));
  EXPECT_THAT(page, Not(HasSubstr("<link")));
}

TEST(Drill, the_raw_file_has_a_line_for_each_request) {
  const std::string raw = to_raw(a_drill());
  EXPECT_EQ(std::count(raw.begin(), raw.end(), '\n'), 6);
  const auto first = nlohmann::json::parse(raw.substr(0, raw.find('\n')));
  EXPECT_EQ(first.at("side"), "without");
  EXPECT_EQ(first.at("first_token_ms"), 1'200);
}

}  // namespace
}  // namespace spillway::bench
