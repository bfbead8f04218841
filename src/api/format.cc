#include "api/format.h"

#include "api/anthropic/messages_format.h"
#include "api/ollama/ollama_format.h"
#include "api/openai/chat_format.h"

namespace spillway::api {

std::string Format::missing_before(const Chunk&, const StreamFacts&) const { return {}; }

std::string Format::nothing(const WriterSettings&) const { return "{}"; }

const Format& format_of(Endpoint endpoint) {
  static const openai::ChatFormat kChat;
  static const anthropic::MessagesFormat kMessages;
  static const ollama::OllamaFormat kOllamaChat(Endpoint::kOllamaChat);
  static const ollama::OllamaFormat kOllamaGenerate(Endpoint::kOllamaGenerate);
  switch (endpoint) {
    case Endpoint::kMessages: return kMessages;
    case Endpoint::kOllamaChat: return kOllamaChat;
    case Endpoint::kOllamaGenerate: return kOllamaGenerate;
    default: return kChat;
  }
}

}  // namespace spillway::api
