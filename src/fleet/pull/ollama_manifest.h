// The manifest of a Model of Ollama's, as its registry and its own store have it.
// Source: ollama's manifest package; OCI image manifest with media types of Ollama's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/pull/source.h"

namespace spillway::fleet {

struct OllamaLayer {
  std::string kind;  // "model", "template", "license", "adapter", "projector", …
  std::string sha256;
  std::uint64_t size = 0;  // bytes
};

// Those of Ollama's media types with a digest; none where the text is no manifest.
std::vector<OllamaLayer> ollama_layers(std::string_view manifest);

// The one that holds the weights; an Error for what cannot be run from one GGUF file. `what` is for messages.
Result<OllamaLayer> weights_of(const std::vector<OllamaLayer>& layers, const std::string& what);

// What to call a Model of Ollama's here.
ModelName name_for_ollama(const Source& source);

}  // namespace spillway::fleet
