#include "fleet/pull/ollama_store.h"

#include <algorithm>

#include "base/file.h"
#include "fleet/pull/ollama_manifest.h"

namespace spillway::fleet {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kMaxOllamaManifest = 4u << 20;

}  // namespace

Result<fs::path> ollama_folder(const config::Environment& environment) {
  std::vector<fs::path> places;
  if (const auto named = environment("OLLAMA_MODELS"); named && !named->empty()) places.emplace_back(*named);
  if (const auto home = environment("HOME"); home && places.empty()) places.emplace_back(*home + "/.ollama/models");
  places.emplace_back("/usr/share/ollama/.ollama/models");
  std::error_code ec;
  for (const fs::path& place : places) {
    if (fs::is_directory(place / "manifests", ec)) return place;
  }
  return Error{ErrorCode::kNotFound, "Ollama has no models in " + places.front().string(),
               "set OLLAMA_MODELS to the folder that has manifests/ and blobs/"};
}

// manifests/HOST/OWNER/NAME/TAG
std::vector<OllamaModel> ollama_models(const fs::path& folder) {
  std::vector<OllamaModel> out;
  const fs::path manifests = folder / "manifests";
  std::error_code ec;
  for (fs::recursive_directory_iterator it(manifests, ec), end; !ec && it != end; it.increment(ec)) {
    std::error_code gone;
    if (it.depth() != 3 || !it->is_regular_file(gone)) continue;
    const fs::path relative = it->path().lexically_relative(manifests);
    std::vector<std::string> parts;
    for (const fs::path& part : relative) parts.push_back(part.string());
    const Result<Source> source = parse_source("ollama:" + parts[1] + "/" + parts[2] + ":" + parts[3]);
    if (source) out.push_back({*source, it->path()});
  }
  std::ranges::sort(out, {}, [](const OllamaModel& model) { return model.source.to_string(); });
  return out;
}

Result<Model> import_from_ollama(Store& store, const fs::path& folder, const OllamaModel& model,
                                 const std::string& name) {
  const Result<std::string> text = read_file(model.manifest, kMaxOllamaManifest);
  if (!text) return text.error();
  const std::string from = model.source.to_string();
  const Result<OllamaLayer> weights = weights_of(ollama_layers(*text), from);
  if (!weights) return weights.error();
  ImportRequest request;
  request.file = folder / "blobs" / ("sha256-" + weights->sha256);
  request.name = name.empty() ? name_for_ollama(model.source).to_string() : name;
  request.sha256 = weights->sha256;
  request.source = from;
  request.pulled = {from, {}, weights->sha256, {}};
  request.taking = Taking::kLink;
  return store.import(request);
}

}  // namespace spillway::fleet
