// The endpoints of the three Dialects: who asks for what, where.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/dialect.h"

namespace spillway::api {

// What a client may ask for, and what a Backend is asked for. The order is that of endpoints().
enum class Endpoint : std::uint8_t {
  kChat,            // openai: chat completions
  kCompletions,     // openai: text completions
  kEmbeddings,      // openai
  kResponses,       // openai; only clients ask for it: Backends are asked for chat completions
  kMessages,        // anthropic
  kCountTokens,     // anthropic
  kOllamaChat,      // ollama
  kOllamaGenerate,  // ollama
  kOllamaEmbed,     // ollama
};
inline constexpr std::size_t kEndpoints = 9;

// What kind of work it is.
enum class Work : std::uint8_t { kGenerate, kEmbed, kCount };

struct EndpointRow {
  Endpoint endpoint;
  std::string_view path;  // below a gateway's or a server's root
  Dialect dialect;
  Work work;
};

std::span<const EndpointRow> endpoints();
const EndpointRow& row_of(Endpoint endpoint);
// Null: no endpoint that takes a body has that path.
const EndpointRow* find_endpoint(std::string_view path);

// Where a Backend that speaks `dialect` is asked when a client asks for `asked`. Nothing: it has no such thing.
std::optional<Endpoint> endpoint_at(Dialect dialect, Endpoint asked);

}  // namespace spillway::api
