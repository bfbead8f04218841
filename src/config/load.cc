#include "config/load.h"

#include <cstdlib>

#include "base/file.h"
#include "config/check.h"
#include "config/presets.h"
#include "config/schema.h"

namespace spillway::config {

namespace {

constexpr std::uint64_t kMaxFile = 1u << 20;  // bytes
constexpr const char* kDefaultModel = "smollm2:135m";

template <class T>
void read_list(std::vector<Placed<T>>& out, const Entry& entry, const Options<T>& options, Problems& problems) {
  const std::string section = "[[" + entry.key + "]]";
  if (entry.value.kind != Value::Kind::kArray) {
    // [backend] for [[backend]] is the usual slip.
    return problems.add(entry.place, "`" + entry.key + "` is a list of tables",
                        "write " + section + ", with two brackets");
  }
  for (const Value& item : entry.value.items) out.push_back(read_table(item, section, options, problems));
}

Draft read_draft(const Value& root, Problems& problems) {
  Draft draft;
  for (const Entry& entry : root.entries) {
    if (entry.key == "server") {
      draft.server = read_table(entry.value, "[server]", server_options(), problems);
    } else if (entry.key == "limits") {
      draft.limits = read_table(entry.value, "[limits]", limits_options(), problems);
    } else if (entry.key == "defaults") {
      draft.defaults = read_table(entry.value, "[defaults]", defaults_options(), problems);
    } else if (entry.key == "breaker") {
      draft.breaker = read_table(entry.value, "[breaker]", breaker_options(), problems);
    } else if (entry.key == "retry_budget") {
      draft.retry_budget = read_table(entry.value, "[retry_budget]", retry_budget_options(), problems);
    } else if (entry.key == "autoscale") {
      draft.autoscale = read_table(entry.value, "[autoscale]", autoscale_options(), problems);
    } else if (entry.key == "governor") {
      draft.governor = read_table(entry.value, "[governor]", governor_options(), problems);
    } else if (entry.key == "log") {
      draft.log = read_table(entry.value, "[log]", log_options(), problems);
    } else if (entry.key == "backend") {
      read_list(draft.backends, entry, backend_options(), problems);
    } else if (entry.key == "route") {
      read_list(draft.routes, entry, route_options(), problems);
    } else {
      add_unknown(problems, entry, "the file", section_names());
    }
  }
  return draft;
}

Backend default_local() {
  Backend local;
  local.name = "local";
  local.engine = "llama.cpp";
  local.model = kDefaultModel;
  local.tier = Tier::kEdge;
  return local;
}

// Every provider whose key is in the environment, then the local model.
std::vector<Placed<Backend>> default_backends(Sources& sources, Problems& problems) {
  std::vector<Placed<Backend>> backends;
  for (const Preset& preset : presets()) {
    if (preset.key_variable.empty() || preset.default_model.empty()) continue;
    const Preset* const family = find_preset(preset.family);
    if (family != nullptr && family->key_variable == preset.key_variable) continue;  // it is there already
    const auto key = sources.environment(std::string(preset.key_variable));
    if (!key || key->empty()) continue;
    Placed<Backend> backend;
    backend.value.name = preset.name;
    backend.value.preset = preset.name;
    complete_backend(backend, sources, problems);
    backends.push_back(std::move(backend));
  }
  backends.push_back({default_local(), nullptr});
  return backends;
}

// For every model name, in the order of the backends. `choose_models`: providers are asked for their preset's
// model, as nobody has set any; otherwise for what the client names.
Route route_over(const std::vector<Backend>& backends, bool choose_models) {
  Route route;
  for (const Backend& backend : backends) {
    const Preset* const preset = choose_models ? find_preset(backend.preset) : nullptr;
    Target target;
    target.backend = backend.name;
    if (preset != nullptr) {
      target.model = preset->default_model;
      target.unless_listed = true;
    }
    route.targets.push_back(std::move(target));
  }
  return route;
}

void take_values(std::vector<Backend>& out, std::vector<Placed<Backend>>& backends) {
  for (Placed<Backend>& backend : backends) out.push_back(std::move(backend.value));
}

Loaded finish(Config config, const Problems& problems, std::vector<SeenFile> files) {
  Loaded loaded;
  loaded.files = std::move(files);
  loaded.problems = problems.errors();
  loaded.warnings = problems.warnings();
  if (loaded.problems.empty()) loaded.config = std::move(config);
  return loaded;
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) -> std::optional<std::string> {
    const char* const value = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nobody sets variables
    if (value == nullptr) return std::nullopt;
    return std::string(value);
  };
}

Loaded load_text(std::string_view toml, const std::filesystem::path& path, const Environment& environment) {
  Problems problems(path.string());
  Sources sources{environment, {}};
  const Document document = parse_document(toml);
  if (!document.error.empty()) {
    problems.add(document.error_place, "this is not valid TOML: " + document.error,
                 "see toml.io for how it is written");
    return finish({}, problems, {});
  }
  Draft draft = read_draft(document.root, problems);
  complete_server(draft.server, sources, problems);
  for (Placed<Backend>& backend : draft.backends) complete_backend(backend, sources, problems);
  const bool own_backends = !draft.backends.empty();
  if (!own_backends) draft.backends = default_backends(sources, problems);
  check_server(draft.server, problems);
  check_log(draft.log, problems);
  check_backends(draft.backends, draft.server.value, problems);
  check_breaker(draft.breaker, problems);
  check_routes(draft.routes, draft.backends, draft.defaults.value, problems);

  Config config;
  config.file = path;
  config.server = draft.server.value;
  config.limits = draft.limits.value;
  config.defaults = draft.defaults.value;
  config.breaker = draft.breaker.value;
  config.retry_budget = draft.retry_budget.value;
  config.autoscale = draft.autoscale.value;
  config.governor = draft.governor.value;
  config.log = draft.log.value;
  take_values(config.backends, draft.backends);
  for (Placed<Route>& route : draft.routes) config.routes.push_back(std::move(route.value));
  if (config.routes.empty()) config.routes.push_back(route_over(config.backends, !own_backends));
  return finish(std::move(config), problems, std::move(sources.files));
}

Loaded load_file(const std::filesystem::path& path, const Environment& environment) {
  SeenFile seen{path, {}};
  const auto content = read_file(path, kMaxFile, &seen.state);
  if (!content) {
    Problems problems(path.string());
    problems.add({}, content.error().message, content.error().hint);
    return finish({}, problems, {std::move(seen)});
  }
  Loaded loaded = load_text(*content, path, environment);
  loaded.files.insert(loaded.files.begin(), std::move(seen));
  return loaded;
}

Loaded embedded_default(const Environment& environment) {
  Problems problems("");
  Config config;
  Sources sources{environment, {}};
  std::vector<Placed<Backend>> backends = default_backends(sources, problems);
  take_values(config.backends, backends);
  config.routes.push_back(route_over(config.backends, true));
  return finish(std::move(config), problems, std::move(sources.files));
}

std::optional<std::filesystem::path> find_file(const std::optional<std::filesystem::path>& explicit_path,
                                               const Environment& environment) {
  if (explicit_path) return explicit_path;
  // One that is named has to be there; one that is looked for need not.
  if (const auto named = environment("SPILLWAY_CONFIG"); named && !named->empty()) return *named;
  std::error_code ignored;
  if (std::filesystem::exists("spillway.toml", ignored)) return "spillway.toml";
  if (const auto home = environment("HOME"); home && !home->empty()) {
    std::filesystem::path file = std::filesystem::path(*home) / ".config/spillway/spillway.toml";
    if (std::filesystem::exists(file, ignored)) return file;
  }
  return std::nullopt;
}

}  // namespace spillway::config
