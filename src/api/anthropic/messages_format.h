// POST /v1/messages on the wire (platform.claude.com/docs/en/api/messages, …/streaming).
#pragma once

#include "api/format.h"

namespace spillway::api::anthropic {

class MessagesFormat final : public Format {
 public:
  constexpr MessagesFormat() : Format(Endpoint::kMessages, Framing::kSse) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const override;
  [[nodiscard]] std::unique_ptr<EventReader> reader() const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;
};

}  // namespace spillway::api::anthropic
