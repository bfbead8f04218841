// What Spillway has to know of a request for an answer, in any Dialect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/edit.h"
#include "api/error.h"

namespace spillway::api {

// What Spillway has to know of a request. Everything else stays where it is in the body, which is
// forwarded as it came but for the value of `model`.
struct ChatRequest {
  std::string model;
  std::size_t model_begin = 0;  // of the value's JSON text in the body, quotes included
  std::size_t model_end = 0;
  bool stream = false;
  bool include_usage = false;  // stream_options.include_usage
  // The values of `stream` and `stream_options` in the body; both 0: it has none.
  std::size_t stream_begin = 0;
  std::size_t stream_end = 0;
  std::size_t options_begin = 0;
  std::size_t options_end = 0;

  // What continuing a broken answer needs.
  std::size_t input_begin = 0;   // of the value of `messages`, or of what an endpoint has in its place; 0: not known
  std::size_t messages_end = 0;  // of the `]` that ends `messages`; 0: it has none
  bool messages_empty = false;
  std::size_t prompt_end = 0;  // of the quote that ends a text prompt, where an answer goes on from it; 0: it has none
  std::size_t object_end = 0;  // of the `}` that ends the body
  // `max_tokens`, `max_completion_tokens`, `options.num_predict`: the value's place and what it is; -1: it is not set.
  std::size_t max_tokens_begin = 0;
  std::size_t max_tokens_end = 0;
  std::int64_t max_tokens = -1;
  std::int64_t n = 1;
  bool logprobs = false;
  bool audio = false;           // asks for more than text, which no stream of text brings
  bool stored = false;          // the provider is to keep the answer: asked twice, it keeps two
  bool constrained = false;     // by a JSON schema or a grammar
  bool empty = false;           // Ollama: nothing is asked, the model is only to be loaded
  bool base64 = false;          // vectors are wanted in base64
  bool usage_by_option = true;  // a stream has its usage where `stream_options` asks for it
};

// Which members an endpoint's body has.
struct RequestShape {
  std::string_view input = "messages";  // holds what is asked
  bool input_is_list = true;            // it has to be an array
  bool input_required = true;
  bool streams_by_default = false;
  bool may_stream = true;
  bool has_options = false;  // Ollama's `options`
  bool goes_on = false;      // an answer follows its text prompt, word for word
};
inline constexpr RequestShape kChatShape{};

// `body` needs ByteBuffer::kPadding readable bytes behind it. The whole body is checked: syntax, UTF-8, escapes, no
// member twice in one object, and what is asked is there. Otherwise an ApiError with status 400 that names the field or
// the place. `trusted`: it was written here, and is only looked through.
std::variant<ChatRequest, ApiError> decode_request(std::string_view body, const RequestShape& shape,
                                                   bool trusted = false);
inline std::variant<ChatRequest, ApiError> decode_chat_request(std::string_view body) {
  return decode_request(body, kChatShape);
}

// What has to change in the body of a request for a whole answer, so that it is streamed, with its usage.
void append_streaming_edits(const ChatRequest& request, std::vector<Edit>& edits);

}  // namespace spillway::api
