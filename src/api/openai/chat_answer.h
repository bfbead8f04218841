// Reading what an OpenAI-compatible Backend answers: enough to tell an answer from a failure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::api::openai {

// What a stream has shown so far. read_chunk() adds to it.
struct StreamFacts {
  struct Choice {
    std::int64_t index = 0;
    bool role = false;    // a delta named one
    bool finish = false;  // it carried a finish_reason: a text other than "" and "null"
    bool tool_calls = false;
    bool function_call = false;  // the form before tool_calls
  };
  static constexpr std::size_t kMaxChoices = 128;    // OpenAI's greatest n
  static constexpr std::size_t kMaxText = 1u << 20;  // bytes; a longer answer is not continued

  // Of the first chunk that has an id.
  std::string id;
  std::string model;
  long long created = 0;
  std::vector<Choice> choices;  // in the order in which they appeared
  bool counted = false;         // usage told of completion tokens, or a finish_reason other than a bare stop
  std::string text;             // the content of choice 0 so far, up to its first tool call
  std::uint64_t tokens = 0;     // chunks that carried something
  bool calls = false;           // a tool call, or a function call of the old form, has begun
  bool opaque = false;          // something else was carried that no text can continue: an image, a second choice

  // Each choice that appeared has its finish_reason, and there is one.
  [[nodiscard]] bool finished() const;
};

// What a Backend's error body says: `error`, as an object or as a text, or the same members without it around them
// (Mistral, SiliconFlow). Texts are shortened; a numeric code is written out. Empty where it does not say.
struct UpstreamError {
  std::string message;
  std::string type;
  std::string code;
};
UpstreamError read_error(std::string_view body);

// One `data` of a stream. This is the one place that decides what a token, a finish, a failure and noise is.
struct Chunk {
  enum class Kind {
    kChunk,    // a chat.completion.chunk
    kNoise,    // a JSON object that is none: a ping, a price; nobody waits for it, and nothing is wrong
    kDone,     // [DONE]
    kError,    // an error object; one that is void (null, "", {}, false) is no error
    kSeveral,  // more than one JSON value
    kGarbage,  // anything else
  };
  Kind kind = Kind::kGarbage;
  bool token = false;  // a delta carries more than its role: what a reader waits for
  bool usage = false;
  std::int64_t without_role = -1;  // the index of a choice that appears here, and names no role
  UpstreamError error;             // for kError
};

// `data` needs ByteBuffer::kPadding readable bytes behind it.
Chunk read_chunk(std::string_view data, StreamFacts& facts);

// A whole (non-streaming) answer with status 200.
struct Answer {
  enum class Kind {
    kGood,
    kError,    // an error object with status 200
    kEmpty,    // a bare stop: no content, no completion tokens; a failure (deepseek-ai/DeepSeek-V3 #450)
    kGarbage,  // not JSON, or no chat completion
  };
  Kind kind = Kind::kGarbage;
  UpstreamError error;  // for kError
};
Answer read_answer(std::string_view body);

// A chunk of a stream that goes on with the answer of another one: what of it is for the client.
struct Continued {
  Chunk chunk;
  std::string text;                // content of choice 0
  std::string calls;               // once a tool call has begun: the members of the delta, as JSON text
  std::string finish;              // its finish_reason; empty: none yet
  std::int64_t prompt_tokens = 0;  // where chunk.usage
  std::int64_t completion_tokens = 0;
};
Continued read_continued(std::string_view data, StreamFacts& facts);

// Events of a continued answer, whole: with the identity of its first stream.
std::string text_event(const StreamFacts& first, std::string_view text);
std::string delta_event(const StreamFacts& first, std::string_view members);
std::string finish_event(const StreamFacts& first, std::string_view reason);
std::string usage_event(const StreamFacts& first, std::int64_t prompt_tokens, std::int64_t completion_tokens);

// Is the whole of `body` one JSON text? It needs ByteBuffer::kPadding readable bytes behind it.
bool is_json(std::string_view body);

// Events that a Backend left out and Spillway adds, whole: a role for the choice `index`, and a finish_reason for each
// choice that has none ("tool_calls" where it made calls, else "stop").
std::string role_event(const StreamFacts& facts, std::int64_t index);
std::string finish_events(const StreamFacts& facts);

}  // namespace spillway::api::openai
