// Reading what an OpenAI-compatible Backend answers: enough to tell an answer from a failure.
#pragma once

#include <string>
#include <string_view>

namespace spillway::api::openai {

// One `data` of a stream.
struct Chunk {
  enum class Kind {
    kChunk,    // a chat.completion.chunk
    kDone,     // [DONE]
    kError,    // an error object
    kGarbage,  // neither
  };
  Kind kind = Kind::kGarbage;
  bool token = false;      // content, reasoning, refusal or a tool call: what a reader waits for
  bool tool_call = false;  // `token` is one
  bool role = false;       // a delta names a role
  bool finish = false;     // a choice carries a finish_reason
  bool usage = false;
  // Set for the first chunk of a stream only (see `with_identity`).
  std::string id;
  std::string model;
  long long created = 0;
  std::string error_message;  // for kError
};

// `data` needs ByteBuffer::kPadding readable bytes behind it.
Chunk read_chunk(std::string_view data, bool with_identity);

// A whole (non-streaming) answer with status 200.
struct Answer {
  enum class Kind {
    kGood,
    kError,    // an error object with status 200
    kEmpty,    // no content, no tool call, no completion tokens: a failure (deepseek-ai/DeepSeek-V3 #450)
    kGarbage,  // not JSON, or no chat completion
  };
  Kind kind = Kind::kGarbage;
  std::string error_message;  // for kError
};
Answer read_answer(std::string_view body);

// What a Backend's error body says: `error`, as an object or as a text, or the same members without it around them
// (Mistral, SiliconFlow). Texts are shortened; a numeric code is written out. Empty where it does not say.
struct UpstreamError {
  std::string message;
  std::string type;
  std::string code;
};
UpstreamError read_error(std::string_view body);

// Data of events that a Backend left out and Spillway adds, as whole SSE events.
std::string role_event(const Chunk& first);
std::string finish_event(std::string_view id, std::string_view model, long long created);

}  // namespace spillway::api::openai
