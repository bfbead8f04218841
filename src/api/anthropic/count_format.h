// POST /v1/messages/count_tokens on the wire (platform.claude.com/docs/en/api/messages-count-tokens).
#pragma once

#include "api/format.h"

namespace spillway::api::anthropic {

// Backends of the Dialect anthropic count; for all others estimate_tokens() has to do.
class CountFormat final : public Format {
 public:
  constexpr CountFormat() : Format(Endpoint::kCountTokens, Framing::kSse) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;
};

// About how many tokens the prompt of a Messages request has, where nobody counts them: a token for each four bytes of
// ASCII and for each other character, 1,500 for an image, a few for each message.
std::int64_t estimate_tokens(std::string_view body);

}  // namespace spillway::api::anthropic
