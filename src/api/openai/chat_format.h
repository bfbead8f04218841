// POST /v1/chat/completions on the wire (platform.openai.com/docs/api-reference/chat).
#pragma once

#include "api/format.h"
#include "api/json_tree.h"

namespace spillway::api::openai {

class ChatFormat final : public Format {
 public:
  constexpr ChatFormat() : Format(Endpoint::kChat, Framing::kSse) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const override;
  [[nodiscard]] std::unique_ptr<EventReader> reader() const override;
  [[nodiscard]] std::string missing_before(const Chunk& chunk, const StreamFacts& facts) const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;
};

// OpenAI's `usage`, and DeepSeek's members of it.
Usage read_usage(JsonTree::Value usage);
// As an object in OpenAI's form.
void append_usage(std::string& out, const Usage& usage);

}  // namespace spillway::api::openai
