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
  [[nodiscard]] Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const override;
  Chunk read_event(std::string_view type, std::string_view data, StreamFacts& facts) const override;
  [[nodiscard]] Answer read_answer(std::string_view body) const override;
  [[nodiscard]] std::unique_ptr<PartReader> part_reader() const override;
  void read_parts(std::string_view body, Parts& out) const override;
  [[nodiscard]] std::unique_ptr<StreamWriter> writer(WriterSettings settings) const override;
  [[nodiscard]] std::unique_ptr<Assembler> assembler() const override;
};

}  // namespace spillway::api::openai
