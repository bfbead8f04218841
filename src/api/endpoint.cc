#include "api/endpoint.h"

#include <array>

namespace spillway::api {

namespace {

// platform.openai.com/docs/api-reference, platform.claude.com/docs/en/api, github.com/ollama/ollama docs/api.md.
constexpr std::array<EndpointRow, kEndpoints> kRows{{
    {Endpoint::kChat, "/v1/chat/completions", Dialect::kOpenAi, Work::kGenerate},
    {Endpoint::kCompletions, "/v1/completions", Dialect::kOpenAi, Work::kGenerate},
    {Endpoint::kEmbeddings, "/v1/embeddings", Dialect::kOpenAi, Work::kEmbed},
    {Endpoint::kResponses, "/v1/responses", Dialect::kOpenAi, Work::kGenerate},
    {Endpoint::kMessages, "/v1/messages", Dialect::kAnthropic, Work::kGenerate},
    {Endpoint::kCountTokens, "/v1/messages/count_tokens", Dialect::kAnthropic, Work::kCount},
    {Endpoint::kOllamaChat, "/api/chat", Dialect::kOllama, Work::kGenerate},
    {Endpoint::kOllamaGenerate, "/api/generate", Dialect::kOllama, Work::kGenerate},
    {Endpoint::kOllamaEmbed, "/api/embed", Dialect::kOllama, Work::kEmbed},
}};

}  // namespace

std::span<const EndpointRow> endpoints() { return kRows; }

const EndpointRow& row_of(Endpoint endpoint) { return kRows[static_cast<std::size_t>(endpoint)]; }

const EndpointRow* find_endpoint(std::string_view path) {
  for (const EndpointRow& row : kRows) {
    if (row.path == path) return &row;
  }
  return nullptr;
}

std::optional<Endpoint> endpoint_at(Dialect dialect, Endpoint asked) {
  const EndpointRow& row = row_of(asked);
  if (row.dialect == dialect && asked != Endpoint::kResponses) return asked;
  switch (row.work) {
    case Work::kGenerate:
      return dialect == Dialect::kOpenAi      ? Endpoint::kChat
             : dialect == Dialect::kAnthropic ? Endpoint::kMessages
                                              : Endpoint::kOllamaChat;
    case Work::kEmbed:
      if (dialect == Dialect::kAnthropic) return std::nullopt;
      return dialect == Dialect::kOpenAi ? Endpoint::kEmbeddings : Endpoint::kOllamaEmbed;
    case Work::kCount: return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace spillway::api
