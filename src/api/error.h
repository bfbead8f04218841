// Errors as clients see them: one writer for each Dialect's own shape.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/dialect.h"
#include "base/time.h"

namespace spillway::api {

// A refusal or failure that Spillway itself tells a client. `code` is one of the contract's words.
struct ApiError {
  int status = 500;
  std::string_view code;
  std::string message;     // what happened, where, and what to do
  std::string param = {};  // the request's field that is at fault; empty: none
  std::optional<seconds> retry_after = {};
  std::string_view type = {};  // OpenAI's `type`; empty: what error_type() says
  // Of an answer that broke in the middle: why nobody went on with it. The client may ask again.
  std::string why_not_resumed = {};
};

ApiError invalid_request(std::string message, std::string param = {});

// The error as a JSON body. OpenAI: {"error":{"message","type","param","code"}}.
std::string render_error(Dialect dialect, const ApiError& error);

// OpenAI's `type` for a status and code: "invalid_request_error", "rate_limit_error", …
std::string_view error_type(int status, std::string_view code);

}  // namespace spillway::api
