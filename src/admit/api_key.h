// Who may ask.
#pragma once

#include <optional>

#include "api/error.h"
#include "config/config.h"
#include "http/message.h"

namespace spillway::admit {

// Nothing: the request may go on. With `server.require_key` each request needs a known key as
// `Authorization: Bearer KEY` or `x-api-key: KEY`; this version has no keys yet, so it refuses
// them all (fail closed) with 401 `invalid_key`.
std::optional<api::ApiError> check_api_key(const config::Server& server, const http::Headers& headers);

}  // namespace spillway::admit
