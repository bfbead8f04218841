#include "fleet/models/manifest.h"

#include <nlohmann/json.hpp>

#include "fleet/models/sha256.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

constexpr std::string_view kDigestPrefix = "sha256:";

// Member `key` of `object` when it is a string, or an unsigned number; else nothing is changed.
bool get(const Json& object, const char* key, std::string& out) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_string()) return false;
  out = found->get<std::string>();
  return true;
}

bool get(const Json& object, const char* key, std::uint64_t& out) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return false;
  out = found->get<std::uint64_t>();
  return true;
}

bool get_gguf(const Json& object, GgufInfo& out) {
  const auto found = object.find("gguf");
  if (found == object.end() || !found->is_object()) return false;
  std::uint64_t version = 0;
  if (!get(*found, "version", version)) return false;
  out.version = static_cast<std::uint32_t>(version);
  return get(*found, "architecture", out.architecture) && get(*found, "name", out.name) &&
         get(*found, "parameters", out.parameters) && get(*found, "context_length", out.context_length) &&
         get(*found, "quantization", out.quantization) && get(*found, "tensors", out.tensors);
}

// Manifests that imports wrote, and old ones, have none.
bool get_pulled(const Json& object, Pulled& out) {
  const auto found = object.find("pulled");
  if (found == object.end()) return true;
  return found->is_object() && get(*found, "from", out.from) && get(*found, "revision", out.revision) &&
         get(*found, "digest", out.digest) && get(*found, "validator", out.validator);
}

}  // namespace

std::string Model::display_name() const { return name.name.empty() ? path.stem().string() : name.to_string(); }

std::string manifest_to_json(const Model& model) {
  Json json = {
      {"name", model.name.name},
      {"tag", model.name.tag},
      {"digest", std::string(kDigestPrefix) + model.digest},
      {"size", model.size},
      {"format", "gguf"},
      {"license", model.license},
      {"source", model.source},
      {"imported_at", model.imported_at},
      {"gguf",
       {{"version", model.gguf.version},
        {"architecture", model.gguf.architecture},
        {"name", model.gguf.name},
        {"parameters", model.gguf.parameters},
        {"context_length", model.gguf.context_length},
        {"quantization", model.gguf.quantization},
        {"tensors", model.gguf.tensors}}},
  };
  if (!model.pulled.from.empty()) {
    json["pulled"] = {{"from", model.pulled.from},
                      {"revision", model.pulled.revision},
                      {"digest", model.pulled.digest},
                      {"validator", model.pulled.validator}};
  }
  // Names inside a GGUF need not be UTF-8.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Model> manifest_from_json(std::string_view text, const ModelName& name) {
  const Error corrupt{ErrorCode::kCorrupt, "the manifest of " + name.to_string() + " is broken",
                      "import the model again"};
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return corrupt;
  Model model;
  std::string format;
  if (!get(json, "name", model.name.name) || !get(json, "tag", model.name.tag) || model.name != name ||
      !get(json, "format", format) || format != "gguf" || !get(json, "digest", model.digest) ||
      !get(json, "size", model.size) || !get(json, "license", model.license) || !get(json, "source", model.source) ||
      !get(json, "imported_at", model.imported_at) || !get_gguf(json, model.gguf) || !get_pulled(json, model.pulled)) {
    return corrupt;
  }
  if (!model.digest.starts_with(kDigestPrefix)) return corrupt;
  model.digest.erase(0, kDigestPrefix.size());
  // The digest becomes part of a path.
  if (!is_sha256_hex(model.digest)) return corrupt;
  model.gguf.file_size = model.size;
  return model;
}

}  // namespace spillway::fleet
