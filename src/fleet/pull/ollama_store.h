// Models that Ollama has on this machine. They are only read.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/result.h"
#include "config/load.h"
#include "fleet/models/store.h"
#include "fleet/pull/source.h"

namespace spillway::fleet {

struct OllamaModel {
  Source source;
  std::filesystem::path manifest;
};

// Its folder: OLLAMA_MODELS, else the first of ~/.ollama/models and /usr/share/ollama/.ollama/models that is there.
Result<std::filesystem::path> ollama_folder(const config::Environment& environment);

// Sorted by name.
std::vector<OllamaModel> ollama_models(const std::filesystem::path& folder);

// Takes its weights into the store as a hard link, which takes no space, or as a copy where that cannot be; checked
// against the digest of its manifest. `name` empty: its own.
Result<Model> import_from_ollama(Store& store, const std::filesystem::path& folder, const OllamaModel& model,
                                 const std::string& name);

}  // namespace spillway::fleet
