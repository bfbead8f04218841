// What an answer says, whatever Dialect it is in: enough to tell an answer from a failure, and to go on with it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::api {

// What a stream has shown so far. An EventReader adds to it.
struct StreamFacts {
  struct Choice {
    std::int64_t index = 0;
    bool role = false;    // a delta named one
    bool finish = false;  // it carried a finish_reason: a text other than "" and "null"
    bool tool_calls = false;
    bool function_call = false;  // the form before tool_calls
  };
  static constexpr std::size_t kMaxChoices = 128;      // OpenAI's greatest n
  static constexpr std::size_t kMaxText = 1u << 20;    // bytes; a longer answer is not continued
  static constexpr std::size_t kMaxCalls = 16u << 20;  // bytes; more is garbage

  // Of the first event that has an id.
  std::string id;
  std::string model;
  long long created = 0;
  std::vector<Choice> choices;            // in the order in which they appeared
  bool counted = false;                   // usage told of completion tokens, or a finish_reason other than a bare stop
  std::string text;                       // the content of choice 0 so far, up to its first tool call
  std::uint64_t tokens = 0;               // events that carried something; with most Backends each is one token
  std::vector<std::uint32_t> token_ends;  // where `text` ended behind each of them
  bool calls = false;                     // a tool call, or a function call of the old form, has begun
  bool opaque = false;  // something else was carried that no text can continue: an image, a second choice

  // Of Anthropic's stream: the content block that is open.
  enum class Block : std::uint8_t { kNone, kText, kThinking, kToolUse, kOther };
  Block block = Block::kNone;
  std::int64_t blocks = 0;        // how many have begun
  std::int64_t block_index = -1;  // what the latest says is its index
  std::int64_t input_tokens = 0;
  bool keeps_text = true;        // `text` and `token_ends`: wanted
  std::string half = {};         // of a surrogate pair, whose other half has to come: no part of `text` yet
  std::uint64_t call_bytes = 0;  // of tool calls, as they came; see kMaxCalls
  // As they were before the first tool call.
  Block block_before_calls = Block::kNone;
  std::int64_t blocks_before_calls = 0;

  // More of the content; `escaped`: as between the quotes of a JSON string.
  void add_text(std::string_view escaped);
  void count_token() {
    ++tokens;
    if (keeps_text && token_ends.size() < kMaxText) token_ends.push_back(static_cast<std::uint32_t>(text.size()));
  }

  // The first tool call, and what came behind it, was not passed on.
  void take_back_calls();

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

// The same for all Dialects: their error bodies do not contradict each other.
UpstreamError read_error(std::string_view body);

// One event of a stream. This is the one place that decides what a token, a finish, a failure and noise is.
struct Chunk {
  enum class Kind {
    kChunk,    // a part of the answer
    kNoise,    // a JSON object that is none: a ping, a price; nobody waits for it, and nothing is wrong
    kDone,     // the mark that ends the stream
    kError,    // an error object; one that is void (null, "", {}, false) is no error
    kSeveral,  // more than one JSON value
    kGarbage,  // anything else
  };
  Kind kind = Kind::kGarbage;
  bool token = false;  // it carries more than a role: what a reader waits for
  bool usage = false;
  std::int64_t without_role = -1;  // the index of a choice that appears here, and names no role
  UpstreamError error;             // for kError
};

// A whole (non-streaming) answer with status 200.
struct Answer {
  enum class Kind {
    kGood,
    kError,    // an error object with status 200
    kEmpty,    // a bare stop: no content, no completion tokens; a failure (deepseek-ai/DeepSeek-V3 #450)
    kGarbage,  // not JSON, or no such answer
  };
  Kind kind = Kind::kGarbage;
  UpstreamError error;  // for kError
};

// Is the whole of `body` one JSON text?
bool is_json(std::string_view body);

}  // namespace spillway::api
