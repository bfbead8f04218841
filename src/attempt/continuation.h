// A second stream that goes on with the answer of a first one.
#pragma once

#include <string>

#include "api/openai/chat_answer.h"
#include "attempt/splice.h"
#include "http/sse.h"

namespace spillway::attempt {

// Turns the events of the second stream into events of the first: only what is new of its text, under the first one's
// identity, without a second role; its finish_reason; a usage that counts both.
class Continuation {
 public:
  // `tokens_before`: of the answer, before this stream.
  Continuation(const api::openai::StreamFacts& first, Splice splice, std::uint64_t tokens_before);

  struct Step {
    bool mismatch = false;  // it does not go on from what the client has
    std::string events;     // for the client
    std::string calls;      // behind them: tool calls, and what comes after their beginning
  };
  // Whole events, as a Leg gives them.
  Step feed(std::string_view events);
  // Nothing more comes.
  Step end();

  // After a mismatch: the beginning of what it said.
  [[nodiscard]] const std::string& said() const { return splice_.said(); }
  // What of its text the client got.
  [[nodiscard]] const std::string& passed() const { return passed_; }
  // Something that is no text came with it.
  [[nodiscard]] bool opaque() const { return facts_.opaque; }
  // For the end of the answer: whether there was a finish, under the first identity.
  [[nodiscard]] api::openai::StreamFacts facts() const;

 private:
  void add(Step& step, Splice::Step spliced);

  const api::openai::StreamFacts& first_;
  Splice splice_;
  std::uint64_t tokens_before_;
  api::openai::StreamFacts facts_;  // of the second stream
  http::SseScanner scanner_;
  std::string scratch_;
  std::string padded_;
  std::string passed_;
};

}  // namespace spillway::attempt
