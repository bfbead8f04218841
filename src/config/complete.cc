// Presets and secrets.
#include <algorithm>
#include <optional>

#include "base/file.h"
#include "config/check.h"
#include "config/presets.h"

namespace spillway::config {

namespace {

constexpr std::uint64_t kMaxPemFile = 1u << 20;   // bytes
constexpr std::uint64_t kMaxKeyFile = 64u << 10;  // bytes

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

// A key goes into a header field as it is (RFC 9110, 5.5).
bool fits_a_header(std::string_view key) {
  for (const char c : key) {
    if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F) return false;
  }
  return true;
}

// "OPENAI_API_KEY=sk-…", "export KEY=…": a line of a file for a shell. No key begins so.
std::string_view name_before_key(std::string_view text) {
  if (text.starts_with("export ")) text.remove_prefix(7);
  const std::size_t end = text.find('=');
  const std::string_view name = text.substr(0, end);
  const bool is_name =
      end != std::string_view::npos && !name.empty() && name.find('_') != std::string_view::npos &&
      std::ranges::all_of(name, [](char c) { return (c >= 'A' && c <= 'Z') || c == '_' || (c >= '0' && c <= '9'); });
  return is_name ? name : std::string_view();
}

// The text behind env:NAME or file:PATH, without white space around it; nothing: what is wrong was told.
std::optional<std::string> look_up(const std::string& source, Place place, std::string_view key, Sources& sources,
                                   Problems& problems) {
  std::string found;
  if (source.starts_with("env:")) {
    const std::string name = source.substr(4);
    const auto value = sources.environment(name);
    if (!value || trimmed(*value).empty()) {
      problems.add(place, "the environment variable " + name + " is not set" + (value ? " to anything" : ""),
                   "export " + name + "=…, or name another source in " + std::string(key));
      return std::nullopt;
    }
    found = *value;
  } else {
    const std::string path = source.substr(5);
    SeenFile& seen = sources.files.emplace_back(SeenFile{path, {}});
    auto content = read_file(path, kMaxKeyFile, &seen.state);
    if (!content) {
      problems.add(place, content.error().message, content.error().hint);
      return std::nullopt;
    }
    found = std::move(*content);
    if (trimmed(found).empty()) {
      problems.add(place, path + " is empty", "write the key into it");
      return std::nullopt;
    }
  }
  std::string text(trimmed(found));
  if (text.size() >= 2 && text.front() == text.back() && (text.front() == '"' || text.front() == '\'')) {
    problems.add(place, "what " + source + " holds stands in quotes", "take the quotes away: they are sent as well");
    return std::nullopt;
  }
  return text;
}

void look_up_key(Placed<Backend>& backend, Place place, Sources& sources, Problems& problems) {
  Secret& key = backend.value.api_key;
  auto found = look_up(key.source, place, "api_key", sources, problems);
  if (!found) return;
  if (const std::string_view name = name_before_key(*found); !name.empty()) {
    return problems.add(place, "the key from " + key.source + " begins with \"" + std::string(name) + "=\"",
                        "only what stands behind the \"=\" is the key");
  }
  if (!fits_a_header(*found)) {
    return problems.add(place,
                        "the key from " + key.source + " holds spaces, line breaks or other characters that no key has",
                        "only the key itself may stand there");
  }
  key.value = std::move(*found);
}

void look_up_headers(Placed<Backend>& backend, Sources& sources, Problems& problems) {
  for (auto& [name, value] : backend.value.headers) {
    if (value.source.empty()) continue;
    const Place place = backend.of("headers");
    auto found = look_up(value.source, place, "headers", sources, problems);
    if (!found) continue;
    for (const char c : *found) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F) {
        problems.add(place, "the value of the field " + name + " from " + value.source + " holds a control character");
        found->clear();
        break;
      }
    }
    value.value = std::move(*found);
  }
}

}  // namespace

void complete_server(Placed<Server>& server, Sources& sources, Problems& problems) {
  if (!server.value.tls) return;
  Tls& tls = *server.value.tls;
  const Place place = server.of("tls");
  if (tls.cert.empty() || tls.key.empty()) {
    return problems.add(place, "server.tls needs a cert and a key",
                        "as in: tls = { cert = \"cert.pem\", key = \"key.pem\" }");
  }
  for (const auto& [path, pem] : {std::pair(&tls.cert, &tls.cert_pem), std::pair(&tls.key, &tls.key_pem)}) {
    SeenFile& seen = sources.files.emplace_back(SeenFile{*path, {}});
    auto content = read_file(*path, kMaxPemFile, &seen.state);
    if (!content) {
      problems.add(place, content.error().message, content.error().hint);
    } else {
      *pem = std::move(*content);
    }
  }
}

void complete_backend(Placed<Backend>& backend, Sources& sources, Problems& problems) {
  Backend& value = backend.value;
  if (const Preset* const preset = find_preset(value.preset)) {
    if (!backend.has("kind")) value.kind = preset->kind;
    // An empty text is as good as none, as with every other option.
    if (value.base_url.empty() && !value.is_local())
      value.base_url = value.kind == Dialect::kAnthropic ? preset->anthropic_base_url : preset->base_url;
    if (!backend.has("tier")) value.tier = preset->tier;
    if (value.region.empty()) value.region = preset->region;
    if (!backend.has("api_key") && !preset->key_variable.empty() && !value.is_local()) {
      value.api_key.source = "env:" + std::string(preset->key_variable);
    }
  }
  if (value.is_local() && !backend.has("tier")) value.tier = Tier::kEdge;
  if (!value.models.empty() && value.model.empty()) value.model = value.models.front();
  look_up_headers(backend, sources, problems);
  if (!value.ca_file.empty()) sources.files.push_back({value.ca_file, file_state(value.ca_file)});
  if (value.api_key.source.empty()) return;
  look_up_key(backend, backend.has("api_key") ? backend.of("api_key") : backend.of("preset"), sources, problems);
}

}  // namespace spillway::config
