// POST /v1/responses on the wire (platform.openai.com/docs/api-reference/responses), without a memory.
#pragma once

#include "api/format.h"

namespace spillway::api::openai {

// Only clients speak it: Backends are asked for chat completions or in their own Dialect.
class ResponsesFormat final : public Format {
 public:
  constexpr ResponsesFormat() : Format(Endpoint::kResponses, Framing::kSse) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;
};

}  // namespace spillway::api::openai
