// The tables of docs/configuration.md, from the list of options.
#include "config/presets.h"
#include "config/schema.h"

namespace spillway::config {

namespace {

template <class T>
void append_table(std::string& out, std::string_view title, std::string_view about, const Options<T>& options) {
  out += "\n### " + std::string(title) + "\n\n" + std::string(about) + (about.empty() ? "" : "\n\n");
  out += "| key | type | default | meaning |\n| --- | --- | --- | --- |\n";
  const T defaults{};
  for (const Option<T>& option : options) {
    const std::string value = option.print(defaults);
    const bool shown = !value.empty() && value.find('\n') == std::string::npos && value != "[]";
    out += "| `" + option.key + "` | " + option.type + " | " + (shown ? "`" + value + "`" : "") + " | " + option.about +
           " |\n";
  }
}

}  // namespace

std::string documentation_tables() {
  std::string out;
  append_table(out, "[server]", "", server_options());
  append_table(out, "[limits]", "", limits_options());
  append_table(out, "[defaults]",
               "Each may be set again on a backend or a Route; the Route's value wins over the backend's.",
               defaults_options());
  append_table(out, "[breaker]", "When a Backend is spared, and others are asked before it.", breaker_options());
  append_table(out, "[retry_budget]", "", retry_budget_options());
  append_table(out, "[autoscale]", "When `standby` Replicas run, and when no longer.", autoscale_options());
  append_table(out, "[governor]",
               "Requests wait, those of priority batch first and critical ones never, so that engines are not busier "
               "than is healthy.",
               governor_options());
  append_table(out, "[log]", "", log_options());
  append_table(out, "[[backend]]",
               "One for each upstream. Without any: those of the embedded default, which Routes may name.",
               backend_options());
  append_table(
      out, "[[route]]",
      "Which Targets serve which model name. Without any: one for `*` with all backends in the order of the file.",
      route_options());
  append_table(out, "targets of a [[route]]", "", target_options());
  out +=
      "\n### Presets\n\nThe port of `llama.cpp` is also Spillway's own: give one of the two another.\n\n| preset | "
      "kind | base_url | with kind anthropic | region | key from | asked for by the embedded default | "
      "read on |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n";
  for (const Preset& preset : presets()) {
    const auto code = [](std::string_view text) {
      return text.empty() ? std::string() : "`" + std::string(text) + "`";
    };
    out += "| `" + std::string(preset.name) + "` | " + std::string(to_string(preset.kind)) + " | " +
           code(preset.base_url.empty() ? preset.base_hint : preset.base_url) + " | " +
           code(preset.anthropic_base_url) + " | " + std::string(preset.region) + " | " + code(preset.key_variable) +
           " | " + code(preset.default_model) + " | " + std::string(preset.read_on) + " |\n";
  }
  return out;
}

}  // namespace spillway::config
