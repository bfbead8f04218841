// Which header fields go on to a Backend, and which come back to the client.
#pragma once

#include <string>

#include "backend/backend.h"
#include "http/message.h"

namespace spillway::attempt {

// The header of the request to `backend`, up to and with the empty line. Of the client's fields
// all go on but credentials, cookies, `x-spillway-*`, hop-by-hop fields (also those that its
// Connection field names), and what Spillway or the Backend's own `headers` set.
std::string request_head(const backend::Backend& backend, const http::Headers& client, std::size_t body_bytes);

// Appends as rendered lines what a Backend's answer may tell the client: all but cookies,
// `x-request-id`, `x-spillway-*`, hop-by-hop fields and what Spillway sets itself.
void append_response_fields(std::string& out, const http::Headers& upstream);

}  // namespace spillway::attempt
