// A whole message out of the events of a stream.
#pragma once

#include "api/format.h"

namespace spillway::api::anthropic {

// As the SDK does it (anthropic-sdk-python, lib/streaming/_messages.py): members that nobody thought of stay.
class MessageAssembler final : public Assembler {
 public:
  MessageAssembler();
  ~MessageAssembler() override;
  void feed(std::string_view events) override;
  [[nodiscard]] std::string answer() const override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace spillway::api::anthropic
