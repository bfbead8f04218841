// A whole answer out of the lines of a stream.
#pragma once

#include "api/format.h"

namespace spillway::api::ollama {

// Texts are joined, tool calls gathered; of all else the last line has the word.
class LineAssembler final : public Assembler {
 public:
  LineAssembler();
  ~LineAssembler() override;
  void feed(std::string_view events) override;
  [[nodiscard]] std::string answer() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::api::ollama
