// Hugging Face: one look at a repository tells its files, their sizes and SHA-256 digests and the commit they are of.
// Source: the Hub API's `GET /api/models/{repo}/revision/{revision}?blobs=true`, and `/{repo}/resolve/{commit}/{file}`.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "fleet/models/sha256.h"
#include "fleet/pull/offer.h"

namespace spillway::fleet {

namespace {

using Json = nlohmann::json;

constexpr std::string_view kUsual = "https://huggingface.co";
// What is taken where the user names none, in this order: the best that fits most machines first.
constexpr std::array<std::string_view, 9> kQuantizations{"q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_xs",
                                                         "q5_k_m", "q6_k",   "q8_0", "f16"};

struct File {
  std::string name;
  std::optional<std::uint64_t> size;
  std::string sha256;
};

std::string text(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// GGUF files that hold a whole model's weights.
std::vector<File> weights(const Json& siblings) {
  std::vector<File> out;
  for (const Json& each : siblings) {
    if (!each.is_object()) continue;
    File file{text(each, "rfilename"), std::nullopt, {}};
    const std::string lower = to_lower(file.name);
    // "…-00001-of-00003.gguf" is a part; "mmproj-…" the eyes of a model.
    if (!lower.ends_with(".gguf") || lower.find("mmproj") != std::string::npos ||
        glob_match("*-0*-of-0*.gguf", lower)) {
      continue;
    }
    if (const auto size = each.find("size"); size != each.end() && size->is_number_unsigned())
      file.size = size->get<std::uint64_t>();
    if (const auto lfs = each.find("lfs"); lfs != each.end() && lfs->is_object()) {
      file.sha256 = text(*lfs, "sha256");
      if (!is_sha256_hex(file.sha256)) file.sha256.clear();
    }
    out.push_back(std::move(file));
  }
  return out;
}

const File* pick(const std::vector<File>& files, const std::string& wanted) {
  const auto exact = std::ranges::find(files, wanted, &File::name);
  if (exact != files.end()) return &*exact;
  const auto of_quantization = [&files](std::string_view tag) -> const File* {
    const auto found =
        std::ranges::find_if(files, [&](const File& file) { return name_for_file(file.name).tag == tag; });
    return found == files.end() ? nullptr : &*found;
  };
  if (!wanted.empty()) return of_quantization(to_lower(wanted));
  if (files.size() == 1) return files.data();
  for (const std::string_view tag : kQuantizations) {
    if (const File* found = of_quantization(tag)) return found;
  }
  return nullptr;
}

std::string license(const Json& repository) {
  const auto card = repository.find("cardData");
  if (card != repository.end() && card->is_object()) return text(*card, "license");
  return {};
}

bool is_commit(std::string_view text) {
  return text.size() == 40 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

}  // namespace

Result<Offer> ask_hugging_face(const Source& source, const config::Environment& environment) {
  const std::vector<std::string> endpoints = mirrors(environment, "HF_ENDPOINT", kUsual);
  const std::string token = environment("HF_TOKEN").value_or("");
  const std::string repository = url_encoded(source.place);
  const Result<Answer> answer = ask_mirrors(
      endpoints,
      [&](const std::string& mirror) {
        return web::Request{
            mirror + "/api/models/" + repository + "/revision/main?blobs=true", token, {"Accept: application/json"}};
      },
      "repository " + source.place);
  if (!answer) return answer.error();
  const Json json = Json::parse(answer->body, nullptr, false);
  const auto siblings = json.is_object() ? json.find("siblings") : json.end();
  if (!json.is_object() || siblings == json.end() || !siblings->is_array())
    return strange_answer(answer->url, "it lists no files");
  const std::string commit = text(json, "sha");
  if (!is_commit(commit)) return strange_answer(answer->url, "it tells no commit");
  const std::vector<File> files = weights(*siblings);
  const File* file = pick(files, source.file);
  if (file == nullptr) {
    std::string there;
    for (const File& each : files) there += (there.empty() ? "" : ", ") + each.name;
    const std::string wanted = source.file.empty() ? "no GGUF file to take unasked" : "no " + source.file;
    return Error{ErrorCode::kNotFound,
                 source.place + " has " + wanted + "; there: " + (there.empty() ? "no GGUF file" : there),
                 "name one, as in hf:" + source.place + ":FILE"};
  }
  Offer offer;
  for (const std::string& endpoint : endpoints) {
    offer.remote.places.push_back(
        {endpoint + "/" + repository + "/resolve/" + commit + "/" + url_encoded(file->name), token, {}});
  }
  offer.remote.size = file->size;
  offer.remote.sha256 = file->sha256;
  offer.revision = commit;
  offer.license = license(json);
  offer.name = name_for_file(file->name);
  return offer;
}

}  // namespace spillway::fleet
