#include <algorithm>

#include "config/schema.h"

namespace spillway::config {

namespace {

template <class T>
void print_table(std::string& out, std::string_view header, const T& from, const Options<T>& options) {
  out += (out.empty() ? "" : "\n") + std::string(header) + "\n";
  for (const Option<T>& option : options) {
    if (const std::string value = option.print(from); !value.empty()) out += option.key + " = " + value + "\n";
  }
}

}  // namespace

std::string print(const Config& config) {
  std::string out;
  print_table(out, "[server]", config.server, server_options());
  print_table(out, "[limits]", config.limits, limits_options());
  print_table(out, "[defaults]", config.defaults, defaults_options());
  print_table(out, "[breaker]", config.breaker, breaker_options());
  print_table(out, "[retry_budget]", config.retry_budget, retry_budget_options());
  print_table(out, "[autoscale]", config.autoscale, autoscale_options());
  print_table(out, "[governor]", config.governor, governor_options());
  print_table(out, "[log]", config.log, log_options());
  for (const Backend& backend : config.backends) {
    if (backend.is_local()) {
      Options<Backend> own = backend_options();
      std::erase_if(own, [](const Option<Backend>& option) { return option.key == "kind"; });
      print_table(out, "[[backend]]", backend, own);
      continue;
    }
    Options<Backend> own = backend_options();
    std::erase_if(own, [](const Option<Backend>& option) {
      return std::ranges::find(engine_keys(), option.key) != engine_keys().end();
    });
    print_table(out, "[[backend]]", backend, own);
  }
  for (const Route& route : config.routes) print_table(out, "[[route]]", route, route_options());
  return out;
}

}  // namespace spillway::config
