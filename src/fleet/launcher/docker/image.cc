#include "fleet/launcher/docker/image.h"

#include <nlohmann/json.hpp>
#include <vector>

#include "base/foreign_json.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet::docker {

using json::flag_at;
using json::Json;
using json::number_at;
using json::text_at;
using json::texts_at;
using json::value_at;

Result<Image> verify_image(std::string_view inspected, const std::string& name, const std::string& digest) {
  const Json json = Json::parse(inspected, nullptr, false);
  Image out{text_at(json, {"Id"}), digest};
  if (out.id.empty()) return Error{ErrorCode::kCorrupt, "Docker says nothing of the image " + name, {}};
  std::string has;
  for (const std::string& entry : texts_at(json, {"RepoDigests"})) {
    const std::size_t at = entry.find('@');
    if (at == std::string::npos || at + 1 == entry.size()) continue;
    const std::string found = entry.substr(at + 1);
    if (found == digest) return out;
    has += (has.empty() ? "" : ", ") + found;
  }
  const std::vector<std::string> layers = texts_at(json, {"RootFS", "Layers"});
  const std::string chain = chain_id(layers);
  if (!chain.empty() && chain == digest) return out;
  if (!chain.empty()) has += (has.empty() ? "" : ", ") + chain + " (its layers)";
  return Error{ErrorCode::kCorrupt,
               "the image " + name + " is not " + digest + ": it has " + (has.empty() ? "none" : has),
               "do not run it, unless you know why it has changed; then write its digest in image_digest"};
}

std::string chain_id(std::span<const std::string> layers) {
  if (layers.empty()) return {};
  std::string chain = layers.front();
  for (const std::string& layer : layers.subspan(1)) {
    const std::string both = chain + " " + layer;
    Sha256 hash;
    hash.update(both.data(), both.size());
    chain = "sha256:" + hash.finish();
  }
  return chain;
}

std::string pinned_digest(const std::string& image, const std::string& given) {
  const std::size_t at = image.find('@');
  return at == std::string::npos ? given : image.substr(at + 1);
}

}  // namespace spillway::fleet::docker
