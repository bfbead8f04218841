#include "fleet/pull/ollama_manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/log.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet {

using Json = nlohmann::json;

std::vector<OllamaLayer> ollama_layers(std::string_view text) {
  constexpr std::string_view kMedia = "application/vnd.ollama.image.";
  constexpr std::string_view kAlgorithm = "sha256:";
  std::vector<OllamaLayer> out;
  const Json manifest = Json::parse(text, nullptr, false);
  if (!manifest.is_object()) return out;
  const auto layers = manifest.find("layers");
  if (layers == manifest.end() || !layers->is_array()) return out;
  for (const Json& each : *layers) {
    if (!each.is_object()) continue;
    const auto media = each.find("mediaType");
    const auto digest = each.find("digest");
    const auto size = each.find("size");
    if (media == each.end() || !media->is_string() || digest == each.end() || !digest->is_string() ||
        size == each.end() || !size->is_number_unsigned()) {
      continue;
    }
    std::string kind = media->get<std::string>();
    std::string hex = digest->get<std::string>();
    if (!kind.starts_with(kMedia) || !hex.starts_with(kAlgorithm)) continue;
    hex.erase(0, kAlgorithm.size());
    if (is_sha256_hex(hex)) out.push_back({kind.substr(kMedia.size()), std::move(hex), size->get<std::uint64_t>()});
  }
  return out;
}

Result<OllamaLayer> weights_of(const std::vector<OllamaLayer>& layers, const std::string& what) {
  const auto count = [&layers](std::string_view kind) { return std::ranges::count(layers, kind, &OllamaLayer::kind); };
  if (count("model") != 1) {
    return Error{ErrorCode::kCorrupt,
                 what + " has " + std::to_string(count("model")) + " files of weights in GGUF, not one",
                 "only models of one GGUF file are run here"};
  }
  if (count("adapter") > 0) {
    return Error{ErrorCode::kInvalidArgument, what + " is an adapter (LoRA) on top of another model",
                 "pull the model it was merged into"};
  }
  if (count("projector") > 0) log::info(what + " can see pictures in Ollama; here it answers text alone");
  return *std::ranges::find(layers, "model", &OllamaLayer::kind);
}

ModelName name_for_ollama(const Source& source) {
  const ModelName base = name_for_file(source.place);
  const ModelName tag = name_for_file(source.version);
  return {base.name + (base.tag == "latest" ? "" : "-" + base.tag),
          tag.name + (tag.tag == "latest" ? "" : "-" + tag.tag)};
}

}  // namespace spillway::fleet
