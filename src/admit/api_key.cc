#include "admit/api_key.h"

namespace spillway::admit {

std::optional<api::ApiError> check_api_key(const config::Server& server, const http::Headers& headers) {
  if (!server.require_key) return std::nullopt;
  const bool has_key = headers.has("authorization") || headers.has("x-api-key");
  return api::ApiError{401, "invalid_key",
                       has_key ? "the API key is not known here; ask who runs this gateway for one"
                               : "an API key is needed: send it as \"Authorization: Bearer KEY\""};
}

}  // namespace spillway::admit
