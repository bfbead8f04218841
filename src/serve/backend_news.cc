#include "serve/backend_news.h"

#include <algorithm>

#include "api/model_list.h"
#include "base/log.h"
#include "fleet/engine/engine.h"

namespace spillway::serve {

namespace {

using BackendPtr = std::shared_ptr<backend::Backend>;

bool is_listed_for(const config::Config& config, const std::string& backend) {
  return std::ranges::any_of(config.routes, [&](const config::Route& route) {
    return std::ranges::any_of(
        route.targets, [&](const config::Target& target) { return target.unless_listed && target.backend == backend; });
  });
}

RegularAsk ask_for_models(const BackendPtr& backend) {
  const auto take = [backend](const std::string* body) {
    std::vector<std::string> models;
    if (body != nullptr) models = api::listed_models(*body);
    if (models.empty()) {
      log::info("backend " + backend->name() + " does not tell which models it has; its default is asked for");
      return false;
    }
    backend->condition().set_models(std::move(models));
    return true;
  };
  return {"models of " + backend->name(),
          backend,
          backend->list_request(),
          kListsEvery,
          kListsAfterFailure,
          kListsTime,
          take};
}

RegularAsk ask_for_load(const BackendPtr& backend, const fleet::Engine& engine) {
  const auto told = std::make_shared<bool>(false);  // that it says nothing
  const auto take = [backend, &engine, told](const std::string* body) {
    const std::optional<fleet::EngineLoad> load = body == nullptr ? std::nullopt : engine.read_metrics(*body);
    if (load) {
      backend->condition().set_report({load->running, load->waiting, load->kv_usage.value_or(0), now()});
    } else if (!*told) {
      log::info("backend " + backend->name() + " does not say how much it has to do (" +
                std::string(engine.metrics_path()) + ")");
    }
    *told = !load;
    return load.has_value();
  };
  return {"load of " + backend->name(),
          backend,
          backend->get_request(engine.metrics_path()),
          kLoadEvery,
          kLoadEvery,
          kLoadTime,
          take};
}

}  // namespace

std::vector<RegularAsk> asks_for(const config::Config& config, backend::Conditions& conditions,
                                 record::Metrics& unread) {
  std::vector<RegularAsk> out;
  for (const config::Backend& settings : config.backends) {
    if (settings.is_local()) continue;
    const bool listed = is_listed_for(config, settings.name);
    const fleet::Engine* const engine = fleet::find_engine(settings.engine);
    const bool tells = engine != nullptr && !engine->metrics_path().empty();
    if (!listed && !tells) continue;
    const auto made = backend::Backend::make(settings, unread.add_thread(), conditions.of(settings.name));
    if (!made) continue;
    if (listed) out.push_back(ask_for_models(*made));
    if (tells) out.push_back(ask_for_load(*made, *engine));
  }
  return out;
}

}  // namespace spillway::serve
