#include "config/check.h"

#include <algorithm>
#include <utility>

#include "config/presets.h"
#include "config/schema.h"
#include "config/values.h"

namespace spillway::config {

namespace {

bool is_same(const Address& listen, Address upstream) {
  if (upstream.port != listen.port) return false;
  // Connecting to "any address" reaches this machine.
  if (upstream.host == "0.0.0.0") upstream.host = "127.0.0.1";
  if (upstream.host == "::") upstream.host = "::1";
  const bool everywhere = listen.host == "0.0.0.0" || listen.host == "::";
  return upstream.host == listen.host || (everywhere && upstream.is_loopback());
}

// A request would go round in circles until no connection is left. The easy way there: llama-server's own port is
// Spillway's too.
void check_not_itself(const Placed<Backend>& backend, const Server& server, Problems& problems) {
  const Address upstream = address_of_base_url(backend.value.base_url);
  for (const auto& [key, own] : {std::pair("listen", server.listen), std::pair("admin_listen", server.admin_listen)}) {
    if (!is_same(own, upstream)) continue;
    problems.add(
        backend.of(backend.has("base_url") ? "base_url" : "preset"),
        excerpt(backend.value.base_url) + " is Spillway's own address (server." + key + ")",
        "give the server that is meant another port and name it in base_url, or change server." + std::string(key));
    return;
  }
}

void check_provider(const Placed<Backend>& backend, const Server& server, Problems& problems) {
  const Backend& value = backend.value;
  if (value.base_url.empty()) {
    // A wrong word for the preset was told already.
    const Preset* const preset = find_preset(value.preset);
    if (preset != nullptr) {
      problems.add(backend.of("preset"),
                   "the address of " + value.preset + " for kind = \"" + std::string(to_string(value.kind)) +
                       "\" is not known here",
                   preset->base_hint.empty() ? "set base_url, or leave out kind"
                                             : "as in: base_url = \"" + std::string(preset->base_hint) + "\"");
    } else if (!backend.has("preset"))
      problems.add(backend.of(""), "the backend " + value.name + " has neither a base_url nor an engine",
                   "set preset, base_url, or for a local model engine = \"llama.cpp\" and model");
  } else if (const std::string why = why_no_base_url(value.base_url); !why.empty()) {
    // A user or a query may hold a password or a key, and what is told here goes to logs and to the admin plane.
    const bool secret = value.base_url.find_first_of("@?#") != std::string::npos;
    problems.add(backend.of("base_url"), (secret ? "this" : excerpt(value.base_url)) + " is not a base_url: " + why,
                 "as in: base_url = \"https://api.deepseek.com/v1\"");
  } else if (const std::string_view endpoint = endpoint_at_end(value.base_url); !endpoint.empty()) {
    const std::string base = value.base_url.substr(0, value.base_url.rfind(endpoint));
    problems.add(backend.of("base_url"), excerpt(value.base_url) + " names an endpoint, which Spillway adds itself",
                 "as an SDK would have it: base_url = " + excerpt(base));
  } else {
    check_not_itself(backend, server, problems);
  }
  for (const std::string_view key : engine_keys()) {
    if (backend.has(key)) {
      problems.add(backend.of(key), std::string(key) + " is for a local backend, one with an engine",
                   key == "model"
                       ? "name the model in the route: targets = [{ backend = \"" + value.name + "\", model = \"…\" }]"
                       : "leave it out, or set engine");
    }
  }
}

constexpr std::uint64_t kLeastMemory = 16u << 20;

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 64 &&
         text.find_first_not_of("0123456789abcdef", kPrefix.size()) == std::string_view::npos;
}

void check_launcher(const Placed<Backend>& backend, Problems& problems) {
  const Backend& value = backend.value;
  if (value.launcher == "kubernetes") {
    problems.add(backend.of("launcher"), "the launcher kubernetes is not available in this version",
                 "use process or docker");
  }
  for (const char* key : {"image", "image_digest", "image_program"}) {
    if (value.launcher == "process" && backend.has(key))
      problems.add(backend.of(key), std::string(key) + " is for launcher = \"docker\"", "leave out one of the two");
  }
  if (value.launcher != "docker") return;
  const std::size_t at = value.image.find('@');
  const std::string named = at == std::string::npos ? "" : value.image.substr(at + 1);
  if (!named.empty() && !is_digest(named)) {
    problems.add(backend.of("image"), "image is named by no SHA-256 digest", "as in repository@sha256:HEX");
  } else if (!value.image_digest.empty() && !is_digest(value.image_digest)) {
    problems.add(backend.of("image_digest"), "image_digest is no SHA-256 digest", "as in sha256:HEX, 64 digits");
  } else if (named.empty() && value.image_digest.empty()) {
    problems.add(backend.of("image_digest"), "the image of " + value.name + " is not pinned by a digest",
                 "image = \"repository@sha256:…\", or image_digest; `docker images --digests` lists them");
  } else if (!named.empty() && !value.image_digest.empty() && named != value.image_digest) {
    problems.add(backend.of("image_digest"), "image and image_digest name different digests", "leave out one");
  }
}

void check_local(const Placed<Backend>& backend, Problems& problems) {
  const Backend& value = backend.value;
  check_launcher(backend, problems);
  if (value.model.empty()) {
    problems.add(backend.of("model"), "the local backend " + value.name + " has no model",
                 "as in: model = \"smollm2:135m\", or the path of a GGUF file");
  }
  if (!value.models.empty() && value.engine != "llama.cpp") {
    problems.add(backend.of("models"), "models is for llama.cpp: what a Model takes is not known of " + value.engine,
                 "make a backend of each model");
  }
  if (!value.models.empty() && std::ranges::find(value.models, value.model) == value.models.end()) {
    problems.add(backend.of("model"), "model " + excerpt(value.model) + " is none of models",
                 "leave model out: the first one is meant");
  }
  for (const auto& [key, several] :
       {std::pair("replicas", value.replicas > 1), std::pair("standby", value.standby > 0)}) {
    if (!value.models.empty() && several) {
      problems.add(backend.of(key), "models that take turns have one replica each",
                   std::string("leave ") + key + " out, or make a backend of each model");
    }
  }
  for (std::size_t i = 0; i < value.models.size(); ++i) {
    if (std::find(value.models.begin(), value.models.begin() + static_cast<std::ptrdiff_t>(i), value.models[i]) ==
        value.models.begin() + static_cast<std::ptrdiff_t>(i)) {
      continue;
    }
    problems.add(backend.of("models"), "models has " + excerpt(value.models[i]) + " twice", "name each once");
  }
  if (value.unload_after.count() > 0 && value.models.empty()) {
    problems.add(backend.of("unload_after"), "unload_after is for a backend with models",
                 "leave it out, or list models = [\"…\"]");
  }
  if (value.memory > 0 && value.memory < kLeastMemory) {
    problems.add(backend.of("memory"), "no engine runs in so little memory", "as in memory = \"512MiB\"");
  }
  for (const char* key : {"api_key", "preset", "ca_file", "headers", "forward_headers"}) {
    if (backend.has(key))
      problems.add(backend.of(key), std::string(key) + " makes no sense with an engine", "leave out one of the two");
  }
  if (backend.has("kind") && value.kind != Dialect::kOpenAi)
    problems.add(backend.of("kind"), "an engine speaks the Dialect openai", "leave kind out");
}

// A name stands in headers, logs, metrics and file names.
bool is_plain_name(std::string_view name) {
  for (const char c : name) {
    const bool good =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
    if (!good) return false;
  }
  return !name.empty() && name.size() <= 64 && name.front() != '.';
}

const Value* target_table(const Placed<Route>& route, std::size_t index) {
  const Value* const list = route.table != nullptr ? route.table->find("targets") : nullptr;
  return list != nullptr && index < list->items.size() ? &list->items[index] : nullptr;
}

void check_target(const Target& target, const Value* table, const std::vector<Placed<Backend>>& backends,
                  Problems& problems) {
  const Value* const named = table != nullptr ? table->find("backend") : nullptr;
  const Place place = named != nullptr ? named->place : table != nullptr ? table->place : Place{};
  if (target.backend.empty()) {
    if (table != nullptr && table->kind == Value::Kind::kTable)
      problems.add(place, "a target has to name its backend", "as in: { backend = \"local\" }");
    return;
  }
  std::vector<std::string> names;
  for (const Placed<Backend>& backend : backends) {
    if (backend.value.name == target.backend) return;
    names.push_back(backend.value.name);
  }
  const auto meant = did_you_mean(target.backend, names);
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  problems.add(place, "there is no backend " + excerpt(target.backend),
               meant          ? "did you mean \"" + *meant + "\"?"
               : list.empty() ? "add a [[backend]] of that name"
                              : "there are: " + list);
}

// A label that no request can carry: what a header field holds has no white space around it, and is printable.
void check_workload(const Placed<Route>& route, Problems& problems) {
  const std::string& label = route.value.workload;
  if (label.empty()) return;
  const bool printable =
      std::ranges::all_of(label, [](char c) { return static_cast<unsigned char>(c) >= 0x20 && c != 0x7F; });
  if (printable && label.front() != ' ' && label.back() != ' ') return;
  problems.add(route.of("workload"),
               "no request can have the workload " + excerpt(label) + ", so this Route never serves",
               "what x-spillway-workload holds has no spaces around it");
}

void check_hedge(const Placed<Route>& route, const Timeouts& defaults, Problems& problems) {
  const Route& value = route.value;
  if (value.hedge == "off") return;
  const auto after = parse_duration(value.hedge);
  if (value.hedge != "auto" && !after) {
    problems.add(route.of("hedge"), excerpt(value.hedge) + " is not a hedge",
                 "off, auto, or a duration such as \"800ms\"");
    return;
  }
  const milliseconds first_token = value.timeouts.first_token.value_or(defaults.first_token);
  if (after && *after <= milliseconds(0)) {
    problems.add(route.of("hedge"), "a hedge after no time asks two Targets for everything", "hedge = \"auto\"");
  } else if (after && *after >= first_token) {
    problems.add(route.of("hedge"),
                 "a hedge after " + print_duration(*after) +
                     " never comes: the Target is left after first_token_timeout, " + print_duration(first_token),
                 "a shorter one, or hedge = \"auto\"");
  } else if (value.targets.size() == 1) {
    problems.warn(route.of("hedge"), "there is no second target to hedge with");
  }
}

// What a policy needs to know of each Target.
void check_policy(const Placed<Route>& route, const std::vector<Placed<Backend>>& backends, Problems& problems) {
  const Route& value = route.value;
  if (value.policy == "weighted" && !value.targets.empty() &&
      std::ranges::none_of(value.targets, [](const Target& target) { return target.weight > 0; })) {
    problems.add(route.of("policy"), "policy weighted, and no target has a weight above 0",
                 "give those that are to be asked a weight, as in: { backend = \"local\", weight = 3 }");
  }
  if (value.policy != "cost") return;
  for (std::size_t i = 0; i < value.targets.size(); ++i) {
    const Target& target = value.targets[i];
    const auto backend = std::ranges::find(
        backends, target.backend, [](const Placed<Backend>& one) -> const std::string& { return one.value.name; });
    if (backend == backends.end() || price_of(target, backend->value)) continue;
    const Value* const table = target_table(route, i);
    problems.add(table != nullptr ? table->place : route.of("policy"),
                 "policy cost, and the price at " + target.backend + " is not known",
                 "in US dollars per million tokens: { backend = \"" + target.backend +
                     "\", input_price = 0.15, output_price = 0.6 }");
  }
}

}  // namespace

void check_server(const Placed<Server>& server, Problems& problems) {
  const Server& value = server.value;
  if (!value.listen.is_loopback() && !value.require_key) {
    problems.add(server.of("listen"),
                 value.listen.to_string() + " can be reached from other machines, and no API key is asked for",
                 "listen on 127.0.0.1, or set require_key = true");
  }
  if (value.listen == value.admin_listen && value.listen.port != 0) {
    problems.add(server.of(server.has("admin_listen") ? "admin_listen" : "listen"),
                 "listen and admin_listen are the same address", "give admin_listen a port of its own");
  }
  if (!value.admin_listen.is_loopback()) {
    problems.warn(server.of("admin_listen"), "the admin plane can be reached from other machines, and asks for no key",
                  "keep it on 127.0.0.1, or behind a firewall");
  }
}

void check_breaker(const Placed<Breaker>& breaker, Problems& problems) {
  const Breaker& value = breaker.value;
  if (value.error_rate <= 0) {
    problems.add(breaker.of("error_rate"),
                 "with an error_rate of 0 a Backend is spared that answers all but a few of a million",
                 "as in: error_rate = 0.1; or on = false");
  }
  if (value.slow_factor > 0 && value.slow_factor <= 1) {
    problems.add(breaker.of("slow_factor"), "with that slow_factor a Backend is slow when it is as fast as ever",
                 "above 1, as in: slow_factor = 2.5; or 0, where time is not to matter");
  }
  if (value.probe_share <= 0 || value.probe_share >= 1) {
    problems.add(breaker.of("probe_share"),
                 value.probe_share <= 0 ? "with a probe_share of 0 a Backend that is spared never comes back"
                                        : "with a probe_share of 1 a Backend that is spared gets all of its requests",
                 "as in: probe_share = 0.02");
  }
}

void check_log(const Placed<Log>& log, Problems& problems) {
  if (log.value.access.empty()) problems.add(log.of("access"), "log.access is empty", "auto, off, stderr, or a path");
}

void check_backends(const std::vector<Placed<Backend>>& backends, const Server& server, Problems& problems) {
  for (std::size_t i = 0; i < backends.size(); ++i) {
    const Placed<Backend>& backend = backends[i];
    const std::string& name = backend.value.name;
    if (name.empty()) {
      problems.add(backend.of("name"), "a [[backend]] needs a name", "as in: name = \"deepseek\"");
    } else if (!is_plain_name(name)) {
      problems.add(backend.of("name"), excerpt(name) + " is not a name",
                   "letters, digits, '.', '-' and '_', at most 64");
    }
    for (std::size_t before = 0; before < i && !name.empty(); ++before) {
      if (backends[before].value.name == name) {
        problems.add(backend.of("name"),
                     "there is another backend " + excerpt(name) + " in line " +
                         std::to_string(backends[before].of("name").line),
                     "give it a name of its own");
        break;
      }
    }
    if (!backend.value.rate.empty() && !parse_rate(backend.value.rate)) {
      problems.add(backend.of("rate"), excerpt(backend.value.rate) + " is not a rate",
                   "as in: rate = \"60/m\" (s, m or h)");
    }
    // A wrong word for the engine leaves it empty; that was told already.
    if (backend.value.is_local()) {
      check_local(backend, problems);
    } else if (!backend.has("engine") || !backend.value.engine.empty()) {
      check_provider(backend, server, problems);
    }
  }
}

void check_routes(const std::vector<Placed<Route>>& routes, const std::vector<Placed<Backend>>& backends,
                  const Timeouts& defaults, Problems& problems) {
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const Placed<Route>& route = routes[i];
    if (route.value.model.empty())
      problems.add(route.of("model"), "a Route's model is empty", "model = \"*\" serves every name");
    check_hedge(route, defaults, problems);
    check_workload(route, problems);
    if (!route.has("targets") || (route.value.targets.empty() && route.table->find("targets")->items.empty() &&
                                  route.table->find("targets")->kind == Value::Kind::kArray)) {
      problems.add(route.of("targets"), "the Route " + excerpt(route.value.model) + " has no targets",
                   "as in: targets = [{ backend = \"local\" }]");
    }
    for (std::size_t at = 0; at < route.value.targets.size(); ++at)
      check_target(route.value.targets[at], target_table(route, at), backends, problems);
    check_policy(route, backends, problems);
    for (std::size_t before = 0; before < i; ++before) {
      if (routes[before].value.model != route.value.model || routes[before].value.workload != route.value.workload)
        continue;
      problems.add(route.of("model"),
                   "there is another Route for " + excerpt(route.value.model) + " in line " +
                       std::to_string(routes[before].of("model").line),
                   "put their targets together, or tell them apart by workload");
      break;
    }
  }
  if (routes.empty()) return;
  for (const Placed<Backend>& backend : backends) {
    const bool used = std::any_of(routes.begin(), routes.end(), [&](const Placed<Route>& route) {
      return std::any_of(route.value.targets.begin(), route.value.targets.end(),
                         [&](const Target& target) { return target.backend == backend.value.name; });
    });
    // Those that nobody wrote (the embedded default's) may well be unused.
    if (!used && backend.table != nullptr && !backend.value.name.empty())
      problems.warn(backend.of("name"), "no Route names the backend " + backend.value.name);
  }
}

}  // namespace spillway::config
