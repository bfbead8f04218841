#include "api/error.h"

#include "base/json_text.h"

namespace spillway::api {

ApiError invalid_request(std::string message, std::string param) {
  return {400, "invalid_request", std::move(message), std::move(param)};
}

std::string_view error_type(int status, std::string_view code) {
  if (code == "budget_exceeded") return "insufficient_quota";
  switch (status) {
    case 401: return "authentication_error";
    case 403: return "permission_error";
    case 429: return "rate_limit_error";
    default: return status >= 500 ? "server_error" : "invalid_request_error";
  }
}

namespace {

// platform.claude.com/docs/en/api/errors
std::string_view anthropic_type(int status) {
  switch (status) {
    case 401: return "authentication_error";
    case 402: return "billing_error";
    case 403: return "permission_error";
    case 404: return "not_found_error";
    case 413: return "request_too_large";
    case 429: return "rate_limit_error";
    case 503:
    case 529: return "overloaded_error";
    case 504: return "timeout_error";
    default: return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

}  // namespace

std::string render_error(Dialect dialect, const ApiError& error) {
  const std::string_view type = error.type.empty() ? error_type(error.status, error.code) : error.type;
  std::string out;
  switch (dialect) {
    case Dialect::kOllama:
      out = "{\"error\":";
      json::append_string(out, error.message);
      out += "}";
      return out;
    case Dialect::kAnthropic:
      out = R"({"type":"error","error":{"type":)";
      json::append_string(out, anthropic_type(error.status));
      out += ",\"message\":";
      json::append_string(out, error.message);
      out += "}}";
      return out;
    case Dialect::kOpenAi: break;
  }
  out = "{\"error\":{\"message\":";
  json::append_string(out, error.message);
  out += ",\"type\":";
  json::append_string(out, type);
  out += ",\"param\":";
  if (error.param.empty()) {
    out += "null";
  } else {
    json::append_string(out, error.param);
  }
  out += ",\"code\":";
  json::append_string(out, error.code);
  if (!error.why_not_resumed.empty()) {
    out += ",\"retryable\":true,\"why_not_resumed\":";
    json::append_string(out, error.why_not_resumed);
  }
  out += "}}";
  return out;
}

}  // namespace spillway::api
