// Which header fields go on to a Backend, and which come back to the client.
#pragma once

#include <string>

#include "backend/backend.h"
#include "http/message.h"

namespace spillway::attempt {

// The header of the request to `backend`, up to and with the empty line; `prepared` is its beginning, as the Backend
// has it. `translated`: the client wrote to another API. Of the client's fields a short list goes on,
// and what the Backend's `forward_headers` add: a field that nobody thought of may be a credential of the client's own.
std::string request_head(const backend::Backend& backend, std::string_view prepared, const http::Headers& client,
                         std::size_t body_bytes, std::string_view request_id, bool translated = false);

// Appends as rendered lines what an answer of `backend` may tell the client: all but cookies, CORS fields,
// `x-spillway-*`, hop-by-hop fields and what Spillway sets itself, without the Backend's secrets. The provider's own
// request id comes as `x-spillway-upstream-request-id`.
void append_response_fields(std::string& out, const http::Headers& upstream, const backend::Backend& backend);

// The provider's own id of a request: `x-request-id` (OpenAI and most), `request-id` (Anthropic). Empty: it gave none,
// or one that is no good in a header or a log.
std::string_view request_id_of(const http::Headers& upstream);

// A request id that may stand in headers and logs: visible ASCII but quotes and backslashes, at most 128 bytes.
bool is_usable_id(std::string_view id);

}  // namespace spillway::attempt
