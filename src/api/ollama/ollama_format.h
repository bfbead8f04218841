// POST /api/chat and /api/generate on the wire (github.com/ollama/ollama, docs/api.md).
#pragma once

#include "api/format.h"

namespace spillway::api::ollama {

// Both stream lines of JSON, the last of them with statistics; they differ in where a text stands.
class OllamaFormat final : public Format {
 public:
  constexpr explicit OllamaFormat(Endpoint endpoint) : Format(endpoint, Framing::kNdjson) {}

  [[nodiscard]] std::variant<ChatRequest, ApiError> decode(std::string_view body, bool trusted) const override;
  [[nodiscard]] Refusal read_request(JsonTree::Value body, Conversation& into) const override;
  [[nodiscard]] Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const override;
  [[nodiscard]] std::string nothing(const WriterSettings& settings) const override;
  [[nodiscard]] std::unique_ptr<EventReader> reader() const override;
  Answer read_answer(std::string_view body, Parts* parts) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<AnswerRules> rules() const override;

 private:
  [[nodiscard]] bool generates() const { return endpoint() == Endpoint::kOllamaGenerate; }
};

}  // namespace spillway::api::ollama
