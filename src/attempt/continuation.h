// A second stream that goes on with the answer of a first one.
#pragma once

#include <string>

#include "api/format.h"
#include "attempt/events.h"
#include "attempt/splice.h"

namespace spillway::attempt {

// Takes the second stream apart: only what is new of its text, its tool calls, its finish, a usage that counts both. In
// whose words they reach the client is the Delivery's affair.
class Continuation {
 public:
  // `format`: of the second stream. `tokens_before`: of the answer, before this stream; `tokens_told`: of these, what
  // its Backend was told.
  Continuation(const api::Format& format, Splice splice, std::uint64_t tokens_before, std::uint64_t tokens_told);

  struct Step {
    bool mismatch = false;  // it does not go on from what the client has
    api::Parts parts;       // for the client
    api::Parts calls;       // behind them: tool calls, and what comes after their beginning
  };
  // Whole events, as a Leg gives them.
  Step feed(std::string_view events);
  // Nothing more comes.
  Step end();

  // After a mismatch: the beginning of what it said.
  [[nodiscard]] const std::string& said() const { return splice_.said(); }
  // What of its text the client got.
  [[nodiscard]] const std::string& passed() const { return passed_; }
  // Adds the tokens that the client got of it to those of the answer so far, whose text had `size` bytes.
  void add_tokens(std::size_t size, std::uint64_t& tokens, std::vector<std::uint32_t>& token_ends) const;
  // Something that is no text came with it.
  [[nodiscard]] bool opaque() const { return facts_.opaque; }

 private:
  void add(Step& step, Splice::Step spliced);
  void adapt(api::Usage& usage) const;
  void add_others(Step& step, api::Parts parts);

  const api::Format& format_;
  Splice splice_;
  std::uint64_t tokens_before_;
  std::uint64_t tokens_told_;
  api::StreamFacts facts_;  // of the second stream
  std::unique_ptr<api::EventReader> reader_;
  std::string scratch_;
  std::string passed_;
  std::size_t dropped_ = 0;           // bytes of its text, before what passed
  std::uint64_t tokens_dropped_ = 0;  // likewise; with all that it said before its text
};

}  // namespace spillway::attempt
