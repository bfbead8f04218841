// Hugging Face: one look at a repository tells its files, their sizes and SHA-256 digests and the commit they are of.
// Of mirrors that do not have that: its tree, or the head of the one file that is asked for. Source: the Hub's API,
// `GET /api/models/{repo}/revision/{revision}?blobs=true` and `/tree/{revision}`, and
// `/{repo}/resolve/{revision}/{file}` with X-Linked-Etag (the SHA-256), X-Linked-Size and X-Repo-Commit.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "fleet/models/sha256.h"
#include "fleet/pull/offer.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

constexpr std::string_view kHuggingFace = "https://huggingface.co";
// What is taken where the user names none, in this order: the best that fits most machines first.
constexpr std::array<std::string_view, 9> kQuantizations{"q4_k_m", "q4_k_s", "q4_1", "q4_0", "iq4_xs",
                                                         "q5_k_m", "q6_k",   "q8_0", "f16"};

struct File {
  std::string name;
  std::optional<std::uint64_t> size;
  std::string sha256;
};

// GGUF files that hold a whole model's weights.
std::vector<File> weights(const Json& siblings) {
  std::vector<File> out;
  for (const Json& each : siblings) {
    if (!each.is_object()) continue;
    File file{text_member(each, "rfilename"), std::nullopt, {}};
    const std::string lower = to_lower(file.name);
    // "…-00001-of-00003.gguf" is a part; "mmproj-…" the eyes of a model.
    if (!lower.ends_with(".gguf") || lower.find("mmproj") != std::string::npos ||
        glob_match("*-0*-of-0*.gguf", lower)) {
      continue;
    }
    if (const auto size = each.find("size"); size != each.end() && size->is_number_unsigned())
      file.size = size->get<std::uint64_t>();
    if (const auto lfs = each.find("lfs"); lfs != each.end() && lfs->is_object()) {
      file.sha256 = text_member(*lfs, "sha256");
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
  if (card != repository.end() && card->is_object()) return text_member(*card, "license");
  return {};
}

bool is_commit(std::string_view text) {
  return text.size() == 40 &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

// What a repository has, as one of the ways to ask tells it.
struct Repository {
  std::string commit;   // or "main", where nobody tells
  std::string license;  // may be empty
  std::vector<File> files;
};

web::Request request_of(const std::string& url, const std::string& token) {
  return {url, token, {"Accept: application/json"}};
}

// All at once: GET /api/models/{repo}/revision/main?blobs=true.
Result<Repository> look_at_revision(const std::vector<std::string>& endpoints, const std::string& repository,
                                    const std::string& token) {
  const Result<Answer> answer = ask_mirrors(
      endpoints,
      [&](const std::string& mirror) {
        return request_of(mirror + "/api/models/" + repository + "/revision/main?blobs=true", token);
      },
      "repository " + repository);
  if (!answer) return answer.error();
  const Json json = Json::parse(answer->body, nullptr, false);
  const auto siblings = json.is_object() ? json.find("siblings") : json.end();
  if (!json.is_object() || siblings == json.end() || !siblings->is_array())
    return strange_answer(answer->url, "it lists no files");
  const std::string commit = text_member(json, "sha");
  if (!is_commit(commit)) return strange_answer(answer->url, "it tells no commit");
  return Repository{commit, license(json), weights(*siblings)};
}

// The files alone, as proxies of companies have them: GET /api/models/{repo}/tree/main.
Result<Repository> look_at_tree(const std::vector<std::string>& endpoints, const std::string& repository,
                                const std::string& token) {
  const Result<Answer> answer = ask_mirrors(
      endpoints,
      [&](const std::string& mirror) {
        return request_of(mirror + "/api/models/" + repository + "/tree/main?recursive=true", token);
      },
      "repository " + repository);
  if (!answer) return answer.error();
  Json json = Json::parse(answer->body, nullptr, false);
  if (!json.is_array()) return strange_answer(answer->url, "it lists no files");
  for (Json& each : json) {
    if (!each.is_object()) continue;
    each["rfilename"] = text_member(each, "path");
    if (const auto lfs = each.find("lfs"); lfs != each.end() && lfs->is_object())
      (*lfs)["sha256"] = text_member(*lfs, "oid");
  }
  return Repository{"main", {}, weights(json)};
}

// One file that the user names, by the head of its answer: all that a plain mirror has.
Result<Repository> look_at_file(const std::vector<std::string>& endpoints, const std::string& repository,
                                const std::string& token, const std::string& file) {
  Error last{ErrorCode::kInvalidArgument, "no mirror is named", {}};
  for (const std::string& endpoint : endpoints) {
    const std::string url = endpoint + "/" + repository + "/resolve/main/" + url_encoded(file);
    const Result<web::Glance> glance = web::glance(request_of(url, token));
    if (!glance) {
      last = glance.error();
    } else if (glance->head.status / 100 != 2) {
      last = web::status_error(glance->head.status, url, "file " + file + " of repository " + repository);
    } else {
      std::string sha256 = glance->head.linked_etag;
      std::erase(sha256, '"');
      if (!is_sha256_hex(sha256)) sha256.clear();
      const std::string& commit = glance->head.repo_commit;
      return Repository{is_commit(commit) ? commit : "main", {}, {{file, glance->length, sha256}}};
    }
  }
  return last;
}

// Mirrors copy the Hub's interface to different depths.
Result<Repository> look_at(const std::vector<std::string>& endpoints, const std::string& repository,
                           const std::string& token, const std::string& file) {
  Result<Repository> found = look_at_revision(endpoints, repository, token);
  const auto lacks_it = [&found] {
    return !found && (found.error().code == ErrorCode::kNotFound || found.error().code == ErrorCode::kCorrupt);
  };
  if (!lacks_it()) return found;
  const Error first = found.error();
  found = look_at_tree(endpoints, repository, token);
  if (lacks_it() && to_lower(file).ends_with(".gguf")) found = look_at_file(endpoints, repository, token, file);
  if (!found) return first;
  return found;
}

}  // namespace

Result<Offer> ask_hugging_face(const Source& source, const config::Environment& environment) {
  const std::vector<std::string> endpoints = mirrors(environment, "HF_ENDPOINT", kHuggingFace);
  const std::string token = environment("HF_TOKEN").value_or("");
  const std::string path = url_encoded(source.place);
  const Result<Repository> repository = look_at(endpoints, path, token, source.file);
  if (!repository) return repository.error();
  const File* file = pick(repository->files, source.file);
  if (file == nullptr) {
    std::string there;
    for (const File& each : repository->files) there += (there.empty() ? "" : ", ") + each.name;
    const std::string wanted = source.file.empty() ? "no GGUF file to take unasked" : "no " + source.file;
    return Error{ErrorCode::kNotFound,
                 source.place + " has " + wanted + "; there: " + (there.empty() ? "no GGUF file" : there),
                 "name one, as in hf:" + source.place + ":FILE"};
  }
  Offer offer;
  for (const std::string& endpoint : endpoints) {
    offer.remote.places.push_back(
        {endpoint + "/" + path + "/resolve/" + repository->commit + "/" + url_encoded(file->name), token, {}});
  }
  offer.remote.size = file->size;
  offer.remote.sha256 = file->sha256;
  offer.revision = repository->commit;
  offer.license = repository->license;
  offer.name = name_for_file(file->name);
  return offer;
}

}  // namespace spillway::fleet
