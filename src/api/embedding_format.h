// POST /v1/embeddings and /api/embed on the wire: vectors, in one piece.
#pragma once

#include "api/format.h"

namespace spillway::api {

// platform.openai.com/docs/api-reference/embeddings; github.com/ollama/ollama, docs/api.md.
class EmbeddingFormat final : public Format {
 public:
  constexpr explicit EmbeddingFormat(Endpoint endpoint) : Format(endpoint, Framing::kWhole) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;

 private:
  [[nodiscard]] bool is_ollamas() const { return endpoint() == Endpoint::kOllamaEmbed; }
};

}  // namespace spillway::api
