// POST /v1/completions on the wire (platform.openai.com/docs/api-reference/completions): a text is gone on with.
#pragma once

#include "api/format.h"

namespace spillway::api::openai {

// Backends of the Dialect openai are asked as the client asks; to all others the prompt goes as a user's message.
class CompletionFormat final : public Format {
 public:
  constexpr CompletionFormat() : Format(Endpoint::kCompletions, Framing::kSse) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] std::unique_ptr<EventReader> reader() const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;
};

}  // namespace spillway::api::openai
