#include "api/format.h"

#include "api/anthropic/count_format.h"
#include "api/anthropic/messages_format.h"
#include "api/embedding_format.h"
#include "api/ollama/ollama_format.h"
#include "api/openai/chat_format.h"
#include "api/openai/completion_format.h"
#include "api/openai/responses_format.h"

namespace spillway::api {

namespace {

class NoReader final : public EventReader {
 public:
  Chunk read(std::string_view, std::string_view, StreamFacts&, Parts*) override { return {}; }
};

}  // namespace

Refusal Format::write_request(const Conversation&, const Recipient&, std::string&, std::vector<std::string>&) const {
  return invalid_request("no Backend is asked so");
}
std::unique_ptr<EventReader> Format::reader() const { return std::make_unique<NoReader>(); }
Answer Format::read_answer(std::string_view, Parts*) const { return {}; }

std::string Format::missing_before(const Chunk&, const StreamFacts&) const { return {}; }

std::string Format::nothing(const WriterSettings&) const { return "{}"; }

const Format& format_of(Endpoint endpoint) {
  static const openai::ChatFormat kChat;
  static const openai::CompletionFormat kCompletions;
  static const EmbeddingFormat kEmbeddings(Endpoint::kEmbeddings);
  static const openai::ResponsesFormat kResponses;
  static const anthropic::MessagesFormat kMessages;
  static const anthropic::CountFormat kCountTokens;
  static const ollama::OllamaFormat kOllamaChat(Endpoint::kOllamaChat);
  static const ollama::OllamaFormat kOllamaGenerate(Endpoint::kOllamaGenerate);
  static const EmbeddingFormat kOllamaEmbed(Endpoint::kOllamaEmbed);
  switch (endpoint) {
    case Endpoint::kChat: return kChat;
    case Endpoint::kCompletions: return kCompletions;
    case Endpoint::kEmbeddings: return kEmbeddings;
    case Endpoint::kResponses: return kResponses;
    case Endpoint::kMessages: return kMessages;
    case Endpoint::kCountTokens: return kCountTokens;
    case Endpoint::kOllamaChat: return kOllamaChat;
    case Endpoint::kOllamaGenerate: return kOllamaGenerate;
    case Endpoint::kOllamaEmbed: return kOllamaEmbed;
  }
  return kChat;
}

}  // namespace spillway::api
