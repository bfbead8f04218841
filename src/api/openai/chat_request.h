// Decoding of POST /v1/chat/completions (platform.openai.com/docs/api-reference/chat).
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <variant>

#include "api/error.h"

namespace spillway::api::openai {

// What Spillway has to know of a request. Everything else stays where it is in the body, which is
// forwarded as it came but for the value of `model`.
struct ChatRequest {
  std::string model;
  std::size_t model_begin = 0;  // of the value's JSON text in the body, quotes included
  std::size_t model_end = 0;
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
};

// JSON nested deeper than this is refused.
inline constexpr int kMaxDepth = 128;

// `body` needs ByteBuffer::kPadding readable bytes behind it. The whole body is checked: syntax,
// UTF-8, escapes, no second `model`, `stream`, `stream_options` or `messages`, and `messages` is
// there. Otherwise an ApiError with status 400 that names the field or the place.
std::variant<ChatRequest, ApiError> decode_chat_request(std::string_view body);

// `body` in three pieces, with `model` in place of the one that was asked for. `quoted_model` holds
// the middle piece; all have to outlive the result.
std::array<std::string_view, 3> splice_model(std::string_view body, const ChatRequest& request,
                                             std::string_view quoted_model);

}  // namespace spillway::api::openai
