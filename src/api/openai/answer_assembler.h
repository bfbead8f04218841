// A whole answer out of the chunks of a stream.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/format.h"

namespace spillway::api::openai {

// Merges deltas as the SDKs do (openai-python, lib/streaming/_deltas.py): texts are joined, objects merged, the
// elements of lists merged by their `index`; but what names something (`id`, `type`, `role`, `name`, `format`) stays as
// it came first, since some servers repeat it. Members that nobody thought of are kept: of the chunks, of the choices
// and of the deltas.
class AnswerAssembler final : public Assembler {
 public:
  AnswerAssembler();
  ~AnswerAssembler() override;

  // Whole events that hold chunks; what is none is skipped.
  void feed(std::string_view events) override;
  // The chat.completion so far, as JSON text.
  [[nodiscard]] std::string answer() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::api::openai
