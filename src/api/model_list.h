// A Backend's list of its models.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::api {

// The names in an answer to GET /models (OpenAI, Anthropic) or /api/tags (Ollama); empty where it is none. `body` needs
// ByteBuffer::kPadding readable bytes behind it.
std::vector<std::string> listed_models(std::string_view body);

}  // namespace spillway::api
