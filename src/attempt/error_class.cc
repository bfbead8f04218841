#include "attempt/error_class.h"

#include "base/text.h"
#include "config/presets.h"

namespace spillway::attempt {

namespace {

using C = OutcomeClass;

// Empty, and status 0: whatever it is. The first row that fits holds.
struct Row {
  std::string_view provider;
  int status;
  std::string_view code;     // or the type; whole, in any case
  std::string_view message;  // a part of it, in lower case
  OutcomeClass cls;
};

// From the providers' own pages, read 2026-11: api-docs.deepseek.com/quick_start/error_codes,
// help.aliyun.com/en/model-studio/error-code-start, docs.bigmodel.cn/cn/faq/api-code, platform.kimi.ai/docs/api/errors,
// platform.openai.com/docs/guides/error-codes; and what llama-server, vLLM and SGLang say.
constexpr Row kRows[] = {
    {"dashscope", 429, "", "increased too quickly", C::kOverload},
    {"dashscope", 0, "Arrearage", "", C::kQuota},
    {"dashscope", 0, "AllocationQuota.FreeTierOnly", "", C::kQuota},
    {"dashscope", 429, "", "free allocated quota", C::kQuota},
    {"dashscope", 429, "insufficient_quota", "", C::kRateLimited},  // tokens per minute are called so too
    {"dashscope", 400, "", "range of input length should be", C::kContext},

    {"zhipu", 0, "1305", "", C::kOverload},
    {"zhipu", 0, "1312", "", C::kOverload},
    {"zhipu", 0, "1302", "", C::kRateLimited},
    {"zhipu", 0, "1303", "", C::kRateLimited},
    {"zhipu", 0, "1113", "", C::kQuota},
    {"zhipu", 0, "1304", "", C::kQuota},
    {"zhipu", 0, "1308", "", C::kQuota},
    {"zhipu", 0, "1309", "", C::kQuota},
    {"zhipu", 0, "1310", "", C::kQuota},
    {"zhipu", 0, "1211", "", C::kNoModel},
    {"zhipu", 0, "1220", "", C::kConfig},
    {"zhipu", 0, "1261", "", C::kContext},

    {"moonshot", 0, "engine_overloaded_error", "", C::kOverload},
    {"moonshot", 0, "exceeded_current_quota_error", "", C::kQuota},
    {"moonshot", 403, "", "balance", C::kQuota},
    {"moonshot", 400, "", "exceeded model token limit", C::kContext},
    {"moonshot", 400, "", "input token length too long", C::kContext},

    {"volcengine", 0, "AccountOverdueError", "", C::kQuota},
    {"volcengine", 0, "InvalidEndpoint.ClosedEndpoint", "", C::kConfig},
    {"volcengine", 0, "ModelNotOpen", "", C::kNoModel},
    {"volcengine", 0, "InvalidEndpointOrModel.NotFound", "", C::kNoModel},

    {"siliconflow", 400, "20012", "", C::kNoModel},
    {"siliconflow", 504, "", "", C::kOverload},

    {"minimax", 0, "1000", "", C::kServer},
    {"minimax", 0, "1001", "", C::kServer},
    {"minimax", 0, "1002", "", C::kRateLimited},
    {"minimax", 0, "1004", "", C::kConfig},
    {"minimax", 0, "1008", "", C::kQuota},

    {"hunyuan", 451, "", "", C::kClient},  // moderation
    {"hunyuan", 0, "401007", "", C::kQuota},
    {"hunyuan", 0, "403004", "", C::kQuota},

    {"qianfan", 400, "tokens_too_long", "", C::kContext},
    {"qianfan", 400, "characters_too_long", "", C::kContext},

    {"stepfun", 451, "", "", C::kClient},  // moderation

    {"openai", 429, "slow_down", "", C::kOverload},
    {"openai", 0, "server_is_overloaded", "", C::kOverload},
    {"openai", 429, "credit_balance_exhausted", "", C::kQuota},
    {"openai", 429, "project_spend_limit_exceeded", "", C::kQuota},
    {"openai", 429, "organization_spend_limit_exceeded", "", C::kQuota},
    {"openai", 429, "organization_usage_limit_exceeded", "", C::kQuota},

    {"anthropic", 429, "enforced_spend_limit_reached", "", C::kQuota},
    {"anthropic", 400, "", "spend limit", C::kQuota},
    {"anthropic", 400, "", "credit balance is too low", C::kQuota},
    {"anthropic", 409, "", "", C::kServer},  // to be repeated

    {"gemini", 429, "quota_exceeded", "", C::kQuota},
    {"gemini", 400, "FAILED_PRECONDITION", "", C::kConfig},
    {"gemini", 400, "API_KEY_INVALID", "", C::kConfig},
    {"gemini", 400, "", "api key not valid", C::kConfig},
    {"gemini", 400, "", "exceeds the maximum number of tokens allowed", C::kContext},

    {"azure-openai", 429, "", "experiencing high demand", C::kOverload},

    {"bedrock", 429, "ModelNotReadyException", "", C::kOverload},
    {"bedrock", 400, "ServiceQuotaExceededException", "", C::kQuota},
    {"bedrock", 400, "", "input is too long", C::kContext},

    {"groq", 498, "", "", C::kOverload},
    {"groq", 413, "", "context", C::kContext},

    {"together", 403, "", "max_new_tokens", C::kContext},
    {"together", 403, "", "tokens", C::kContext},

    {"fireworks", 412, "", "", C::kQuota},

    {"openrouter", 402, "openrouter_in_flight_budget", "", C::kRateLimited},
    {"openrouter", 403, "", "moderation", C::kClient},
    {"openrouter", 403, "", "flagged", C::kClient},
    {"openrouter", 403, "", "guardrail", C::kClient},

    {"mistral", 429, "", "service tier capacity exceeded", C::kOverload},
    {"mistral", 400, "", "too large for model", C::kContext},

    {"", 402, "", "", C::kQuota},
    {"", 0, "insufficient_quota", "", C::kQuota},
    {"", 400, "context_length_exceeded", "", C::kContext},
    {"", 400, "exceed_context_size_error", "", C::kContext},  // llama-server
    {"", 400, "", "maximum context length", C::kContext},     // vLLM, SGLang, and OpenAI in words
    {"", 400, "", "prompt is too long", C::kContext},         // Anthropic
    {"", 0, "overloaded_error", "", C::kOverload},            // Anthropic, also in a stream
    {"", 0, "rate_limit_error", "", C::kRateLimited},
    {"", 0, "billing_error", "", C::kQuota},
    {"", 0, "authentication_error", "", C::kConfig},
    {"", 0, "permission_error", "", C::kConfig},
};

bool fits(const Row& row, std::string_view provider, int status, const api::UpstreamError& error,
          std::string_view lower_message) {
  if (!row.provider.empty() && row.provider != provider) return false;
  if (row.status != 0 && row.status != status) return false;
  if (!row.code.empty() && !equals_ignore_case(row.code, error.code) && !equals_ignore_case(row.code, error.type))
    return false;
  return row.message.empty() || lower_message.find(row.message) != std::string_view::npos;
}

}  // namespace

OutcomeClass class_of_error(std::string_view provider, int status, const api::UpstreamError& error) {
  OutcomeClass cls = status == 200 ? C::kServer : class_of_status(status);
  const std::string message = to_lower(error.message);
  provider = config::family_of(provider);
  for (const Row& row : kRows) {
    if (!fits(row, provider, status, error, message)) continue;
    cls = row.cls;
    break;
  }
  if (status == 404 && cls == C::kConfig && says_no_such_model(error)) cls = C::kNoModel;
  if (status == 200 && blame(cls) == Blame::kClient) cls = C::kServer;
  return cls;
}

}  // namespace spillway::attempt
