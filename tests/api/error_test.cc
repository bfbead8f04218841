#include "api/error.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway::api {
namespace {

using nlohmann::json;

TEST(ApiError, openai_shape_has_message_type_param_and_code) {
  const json body = json::parse(render_error(Dialect::kOpenAi, invalid_request("\"model\" is missing", "model")));
  EXPECT_EQ(body, json({{"error",
                         {{"message", "\"model\" is missing"},
                          {"type", "invalid_request_error"},
                          {"param", "model"},
                          {"code", "invalid_request"}}}}));
}

TEST(ApiError, openai_param_is_null_where_no_field_is_at_fault) {
  const json body = json::parse(render_error(Dialect::kOpenAi, {502, "all_targets_failed", "no"}));
  EXPECT_TRUE(body["error"]["param"].is_null());
  EXPECT_EQ(body["error"]["type"], "server_error");
  EXPECT_EQ(body["error"].size(), 4u);
}

TEST(ApiError, anthropic_and_ollama_have_their_own_shapes) {
  const ApiError error{404, "no_target", "nobody \"here\""};
  EXPECT_EQ(json::parse(render_error(Dialect::kAnthropic, error)),
            json({{"type", "error"}, {"error", {{"type", "not_found_error"}, {"message", "nobody \"here\""}}}}));
  EXPECT_EQ(json::parse(render_error(Dialect::kOllama, error)), json({{"error", "nobody \"here\""}}));
}

TEST(ApiError, types_follow_the_status) {
  EXPECT_EQ(error_type(400, "invalid_request"), "invalid_request_error");
  EXPECT_EQ(error_type(401, "invalid_key"), "authentication_error");
  EXPECT_EQ(error_type(403, "residency_denied"), "permission_error");
  EXPECT_EQ(error_type(404, "no_target"), "invalid_request_error");
  EXPECT_EQ(error_type(413, "body_too_large"), "invalid_request_error");
  EXPECT_EQ(error_type(429, "rate_limited"), "rate_limit_error");
  EXPECT_EQ(error_type(429, "budget_exceeded"), "insufficient_quota");
  EXPECT_EQ(error_type(502, "all_targets_failed"), "server_error");
  EXPECT_EQ(error_type(504, "deadline_exceeded"), "server_error");
}

TEST(ApiError, hostile_text_cannot_leave_its_string) {
  const std::string hostile = std::string("\"}]\n\\\r\0\x01\xff\xed\xa0\x80", 12) + "\u4f60";
  for (const Dialect dialect : {Dialect::kOpenAi, Dialect::kAnthropic, Dialect::kOllama}) {
    ApiError error{400, "invalid_request", hostile, hostile};
    EXPECT_TRUE(json::accept(render_error(dialect, error)));
  }
}

}  // namespace
}  // namespace spillway::api
