#include "attempt/retry_after.h"

#include <gtest/gtest.h>

namespace spillway::attempt {
namespace {

// Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110, 5.6.7.
const auto kAt = std::chrono::system_clock::from_time_t(784111777);

std::optional<std::int64_t> delay(std::string_view value, std::string_view ms = {}) {
  http::Headers headers;
  if (!value.empty()) headers.add("Retry-After", value);
  if (!ms.empty()) headers.add("retry-after-ms", ms);
  const auto found = retry_delay(headers, kAt);
  return found ? std::optional(found->count()) : std::nullopt;
}

TEST(RetryDelay, seconds_with_and_without_a_fraction) {
  EXPECT_EQ(delay("0"), 0);
  EXPECT_EQ(delay("7"), 7000);
  EXPECT_EQ(delay("2.5"), 2500);
  EXPECT_EQ(delay("0.0001"), 1);
}

TEST(RetryDelay, milliseconds_go_before_seconds) {
  EXPECT_EQ(delay("30", "250"), 250);
  EXPECT_EQ(delay("", "1.2"), 2);
  EXPECT_EQ(delay("30", "soon"), 30000);
}

TEST(RetryDelay, a_date_in_each_of_the_three_forms) {
  EXPECT_EQ(delay("Sun, 06 Nov 1994 08:50:07 GMT"), 30000);
  EXPECT_EQ(delay("Sunday, 06-Nov-94 08:50:07 GMT"), 30000);
  EXPECT_EQ(delay("Sun Nov  6 08:50:07 1994"), 30000);
  EXPECT_EQ(delay("Sun, 06 Nov 1994 08:49:37 GMT"), 0);
  EXPECT_EQ(delay("Sun, 06 Nov 1994 08:00:00 GMT"), 0);
}

std::optional<std::int64_t> used_up(std::string_view remaining, std::string_view remaining_value,
                                    std::string_view reset, std::string_view reset_value) {
  http::Headers headers;
  headers.add(remaining, remaining_value);
  headers.add(reset, reset_value);
  const auto found = used_up_for(headers, kAt);
  return found ? std::optional(found->count()) : std::nullopt;
}

TEST(UsedUp, a_limit_without_rest_holds_until_its_reset_in_each_form) {
  const auto openai = [](std::string_view remaining, std::string_view reset) {
    return used_up("x-ratelimit-remaining-requests", remaining, "X-RateLimit-Reset-Requests", reset);
  };
  EXPECT_EQ(openai("0", "6m0s"), 360'000);
  EXPECT_EQ(openai("0", "1h2m3.5s"), 3'723'500);
  EXPECT_EQ(openai("0", "17ms"), 17);
  EXPECT_EQ(openai("0", "2.5"), 2'500);
  EXPECT_EQ(openai("1", "6m0s"), std::nullopt);
  EXPECT_EQ(openai("0", "soon"), std::nullopt);
  EXPECT_EQ(openai("0", "0s"), std::nullopt);
  EXPECT_EQ(used_up("RateLimit-Remaining", "0", "ratelimit-reset", "30"), 30'000);
  EXPECT_EQ(
      used_up("anthropic-ratelimit-tokens-remaining", "0", "anthropic-ratelimit-tokens-reset", "1994-11-06T08:49:47Z"),
      10'000);
  EXPECT_EQ(used_up("x-ratelimit-remaining-requests", "0", "x-ratelimit-reset-tokens", "6m0s"), std::nullopt);
  EXPECT_EQ(used_up("x-remaining", "0", "x-reset", "6"), std::nullopt);
}

TEST(RetryDelay, is_bounded) {
  EXPECT_EQ(delay("999999999999999999999"), kLongestRetryAfter.count());
  EXPECT_EQ(delay("Sun, 06 Nov 2044 08:50:07 GMT"), kLongestRetryAfter.count());
}

TEST(RetryDelay, anything_else_says_nothing) {
  for (const char* const text : {"", "-1", "soon", "1e3", "0x10", "5 s", "inf", "nan", "Sun, 06 Nov 1994 08:50:07 CET",
                                 "Sun, 06 Nov 1994", "Sun, 06 Nov 1994 08:50:07 GMT+1"}) {
    EXPECT_EQ(delay(text), std::nullopt) << text;
  }
}

TEST(RateFields, are_those_that_speak_of_rates) {
  http::Headers headers;
  for (const char* const name :
       {"X-RateLimit-Remaining-Tokens", "ratelimit-reset", "anthropic-ratelimit-requests-limit", "retry-after-ms",
        "Retry-After", "x-ratelimit-", "x-other"}) {
    headers.add(name, "1");
  }
  EXPECT_EQ(rate_fields(headers),
            "X-RateLimit-Remaining-Tokens: 1\r\nratelimit-reset: 1\r\nanthropic-ratelimit-requests-limit: 1\r\n"
            "retry-after-ms: 1\r\n");
}

}  // namespace
}  // namespace spillway::attempt
