// Ollama's registry: a manifest for NAME:TAG lists layers by media type, digest and size; a blob is fetched by digest.
// Source: ollama's server/download.go and the OCI distribution specification 1.1, "pull".
#include <algorithm>

#include "base/text.h"
#include "fleet/models/sha256.h"
#include "fleet/pull/offer.h"
#include "fleet/pull/ollama_manifest.h"

namespace spillway::fleet {

namespace {

constexpr std::string_view kOllamaRegistry = "https://registry.ollama.ai";
constexpr std::uint64_t kMaxLicense = 1u << 20;
constexpr std::size_t kMaxLicenseLine = 80;

// Its first line that says something; a license that cannot be had is no reason not to have the model.
std::string license_line(const web::Request& request, const std::string& sha256) {
  const Result<web::Document> document = web::get(request, kMaxLicense);
  if (!document || document->head.status / 100 != 2) return {};
  Sha256 hash;
  hash.update(document->body.data(), document->body.size());
  if (hash.finish() != sha256) return {};
  std::string_view rest = document->body;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = trim(rest.substr(0, end));
    if (!line.empty()) return std::string(line.substr(0, kMaxLicenseLine));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return {};
}

}  // namespace

Result<Offer> ask_ollama(const Source& source, const config::Environment& environment) {
  const std::vector<std::string> registries = mirrors(environment, "SPILLWAY_OLLAMA_REGISTRY", kOllamaRegistry);
  const std::string repository = "/v2/" + url_encoded(source.place);
  const std::string what = "model " + source.to_string();
  const Result<Answer> answer = ask_mirrors(
      registries,
      [&](const std::string& mirror) {
        return web::Request{mirror + repository + "/manifests/" + url_encoded(source.version),
                            {},
                            {"Accept: application/vnd.docker.distribution.manifest.v2+json"}};
      },
      what);
  if (!answer) return answer.error();
  const std::vector<OllamaLayer> layers = ollama_layers(answer->body);
  if (layers.empty()) return strange_answer(answer->url, "it is no manifest of a model");
  const Result<OllamaLayer> weights = weights_of(layers, what);
  if (!weights) return weights.error();
  const auto blob = [&](const std::string& mirror, const std::string& sha256) {
    return web::Request{mirror + repository + "/blobs/sha256:" + sha256, {}, {}};
  };
  Offer offer;
  for (const std::string& registry : registries) offer.remote.places.push_back(blob(registry, weights->sha256));
  offer.remote.size = weights->size;
  offer.remote.sha256 = weights->sha256;
  if (const auto license = std::ranges::find(layers, "license", &OllamaLayer::kind); license != layers.end()) {
    offer.license = license_line(blob(answer->mirror, license->sha256), license->sha256);
  }
  offer.name = name_for_ollama(source);
  return offer;
}

}  // namespace spillway::fleet
