// An answer taken apart: what all Dialects can say, one thing at a time.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace spillway::api {

// Tokens; -1: not told.
struct Usage {
  std::int64_t input = -1;        // all of the prompt, what was cached included
  std::int64_t cached = -1;       // of it
  std::int64_t cache_write = -1;  // of it; told apart by Anthropic alone
  std::int64_t output = -1;       // all that was generated, reasoning included
  std::int64_t reasoning = -1;    // of it
};

enum class Finish : std::uint8_t { kStop, kStopSequence, kLength, kToolCalls, kContentFilter };

enum class PartKind : std::uint8_t {
  kStart,      // the answer begins: id, name = the model
  kText,       // text
  kReasoning,  // text
  kSignature,  // text: what proves Anthropic's reasoning to itself
  kRefusal,    // text
  kCall,       // a tool call begins: index, id, name
  kArguments,  // text: a piece of the JSON of call `index`
  kLogprobs,   // text: a list in OpenAI's form, as JSON
  kEmbedding,  // text: a list of numbers, as JSON
  kFinish,     // finish; text: the stop sequence, or empty
  kUsage,      // usage
};

// `text`, `id` and `name` are as they stand between the quotes of a JSON string, escapes and all: from one JSON text to
// another they need not be decoded, and half of a surrogate pair stays whole with the other half.
struct Part {
  PartKind kind = PartKind::kText;
  Finish finish = Finish::kStop;
  std::int64_t index = 0;
  std::string text = {};
  std::string id = {};
  std::string name = {};
  Usage usage = {};
};
using Parts = std::vector<Part>;

}  // namespace spillway::api
