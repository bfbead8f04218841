#include "attempt/error_class.h"

#include <gtest/gtest.h>

namespace spillway::attempt {
namespace {

using C = OutcomeClass;

struct Row {
  std::string_view provider;
  int status;
  std::string code;
  std::string message;
  C cls;
};

TEST(ErrorClass, what_a_provider_says_decides_before_its_status) {
  const Row table[] = {
      {"deepseek", 402, "invalid_request_error", "Insufficient Balance", C::kQuota},
      {"deepseek", 503, "", "Server busy", C::kOverload},
      {"deepseek", 429, "", "", C::kRateLimited},
      {"deepseek", 422, "", "", C::kClient},
      {"deepseek", 400, "", "This model's maximum context length is 131072 tokens", C::kContext},
      {"openai", 429, "rate_limit_exceeded", "", C::kRateLimited},
      {"openai", 429, "slow_down", "", C::kOverload},
      {"openai", 503, "server_is_overloaded", "", C::kOverload},
      {"openai", 429, "insufficient_quota", "", C::kQuota},
      {"openai", 400, "context_length_exceeded", "", C::kContext},
      {"openai", 404, "model_not_found", "", C::kNoModel},
      {"openai", 429, "credit_balance_exhausted", "", C::kQuota},
      {"anthropic", 529, "", "Overloaded", C::kOverload},
      {"anthropic", 429, "", "", C::kRateLimited},
      {"anthropic", 429, "enforced_spend_limit_reached", "", C::kQuota},
      {"anthropic", 400, "", "You have reached your spend limit", C::kQuota},
      {"anthropic", 400, "", "prompt is too long: 210000 tokens", C::kContext},
      {"anthropic", 409, "", "", C::kServer},
      {"anthropic", 200, "overloaded_error", "Overloaded", C::kOverload},
      {"anthropic", 200, "authentication_error", "", C::kConfig},
      {"gemini", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", C::kConfig},
      {"gemini", 429, "RESOURCE_EXHAUSTED", "", C::kRateLimited},
      {"gemini", 429, "quota_exceeded", "", C::kQuota},
      {"volcengine", 403, "AccountOverdueError", "", C::kQuota},
      {"volcengine", 400, "InvalidEndpoint.ClosedEndpoint", "", C::kConfig},
      {"volcengine", 404, "ModelNotOpen", "", C::kNoModel},
      {"hunyuan", 451, "451001", "", C::kClient},
      {"stepfun", 451, "", "", C::kClient},
      {"stepfun-intl", 451, "", "", C::kClient},  // a family shares its ways
      {"zai", 429, "1113", "", C::kQuota},
      {"together", 403, "", "input tokens + max_new_tokens must be below 8192", C::kContext},
      {"openrouter", 403, "", "Input was flagged by moderation", C::kClient},
      {"openrouter", 403, "", "Key limit exceeded", C::kConfig},
      {"fireworks", 412, "", "", C::kQuota},
      {"groq", 498, "capacity_exceeded", "", C::kOverload},
      {"bedrock", 400, "ServiceQuotaExceededException", "", C::kQuota},
      {"azure-openai", 429, "", "We are currently experiencing high demand", C::kOverload},
      {"mistral", 429, "", "Service tier capacity exceeded for this model.", C::kOverload},
      {"qianfan", 400, "tokens_too_long", "", C::kContext},
      {"dashscope", 429, "limit_burst_rate", "Request rate increased too quickly.", C::kOverload},
      {"dashscope", 429, "Throttling.RateQuota", "Requests rate limit exceeded", C::kRateLimited},
      {"dashscope", 429, "insufficient_quota", "You exceeded your current quota", C::kRateLimited},
      {"dashscope", 429, "insufficient_quota", "Free allocated quota exceeded.", C::kQuota},
      {"dashscope", 400, "Arrearage", "Access denied", C::kQuota},
      {"dashscope", 400, "InvalidParameter", "Range of input length should be [1, 30720]", C::kContext},
      {"dashscope", 400, "InvalidParameter", "top_p", C::kClient},
      {"zhipu", 429, "1305", "", C::kOverload},
      {"zhipu", 429, "1302", "", C::kRateLimited},
      {"zhipu", 429, "1113", "", C::kQuota},
      {"zhipu", 400, "1210", "", C::kClient},
      {"zhipu", 400, "1211", "", C::kNoModel},
      {"zhipu", 400, "1261", "", C::kContext},
      {"zhipu", 500, "1234", "", C::kServer},
      {"zhipu", 401, "1002", "", C::kConfig},
      {"moonshot", 429, "engine_overloaded_error", "", C::kOverload},
      {"moonshot", 429, "rate_limit_reached_error", "", C::kRateLimited},
      {"moonshot", 429, "exceeded_current_quota_error", "", C::kQuota},
      {"moonshot", 403, "", "Your account balance is too low", C::kQuota},
      {"moonshot", 403, "", "forbidden", C::kConfig},
      {"moonshot", 400, "invalid_request_error", "Input token length too long", C::kContext},
      {"moonshot", 400, "content_filter", "", C::kClient},
      {"", 400, "exceed_context_size_error", "", C::kContext},
      {"", 429, "1305", "", C::kRateLimited},  // nobody knows whose digits these are
      {"", 404, "", "Not Found", C::kConfig},
      {"", 404, "", "The model `x` does not exist.", C::kNoModel},
  };
  for (const Row& row : table) {
    EXPECT_EQ(class_of_error(row.provider, row.status, {row.message, "", row.code}), row.cls)
        << row.provider << " " << row.status << " " << row.code << row.message;
    if (row.code.empty() || row.cls == C::kNoModel) continue;
    EXPECT_EQ(class_of_error(row.provider, row.status, {row.message, row.code, "other"}), row.cls) << "as the type";
  }
}

TEST(ErrorClass, an_error_with_status_200_is_never_the_clients) {
  EXPECT_EQ(class_of_error("deepseek", 200, {"boom", "", ""}), C::kServer);
  EXPECT_EQ(class_of_error("moonshot", 200, {"", "engine_overloaded_error", ""}), C::kOverload);
  EXPECT_EQ(class_of_error("zhipu", 200, {"", "", "1113"}), C::kQuota);
  EXPECT_EQ(class_of_error("zhipu", 200, {"", "", "1261"}), C::kServer);
  EXPECT_EQ(class_of_error("zhipu", 200, {"", "", "1211"}), C::kServer);
}

}  // namespace
}  // namespace spillway::attempt
