#include "cli/app.h"

#include "base/version.h"

namespace spillway::cli {

namespace {

constexpr const char* kFooter = R"(
Examples:
  spillway serve                         the local model, and each provider whose API key is set
  spillway --config spillway.toml check  is this config right?
  spillway run smollm2:135m              a chat in the terminal
  spillway status                        what runs now

Config: --config, $SPILLWAY_CONFIG, ./spillway.toml, ~/.config/spillway/spillway.toml, or the embedded default.
Exit codes: 0 fine, 1 what was asked for failed, 2 wrong usage or config.)";

void add_globals(Command app, Context& context) {
  app.footer(kFooter);
  app.option("--config", context.config_option, "The config file").value("FILE");
  app.option("--data", context.data_option, "Where models and logs are kept [~/.local/share/spillway]").value("DIR");
  app.option("--log-level", context.log_level_option, "How much to log on stderr; overrides the config's log.level")
      .value("debug|info|warn|error|off")
      .check([](const std::string& word) {
        return log::parse_level(word) ? std::string() : "\"" + word + "\" is not one of debug, info, warn, error, off";
      });
}

}  // namespace

std::filesystem::path Context::data() const {
  if (!data_option.empty()) return data_option;
  if (const auto named = environment("SPILLWAY_DATA"); named && !named->empty()) return *named;
  if (const auto base = environment("XDG_DATA_HOME"); base && base->starts_with('/'))
    return std::filesystem::path(*base) / "spillway";
  const auto home = environment("HOME");
  return std::filesystem::path(home.value_or("/")) / ".local/share/spillway";
}

std::optional<log::Level> Context::log_level() const {
  if (log_level_option.empty()) return std::nullopt;
  return log::parse_level(log_level_option);
}

std::optional<std::filesystem::path> Context::config_file() const {
  std::optional<std::filesystem::path> explicit_path;
  if (!config_option.empty()) explicit_path = config_option;
  return config::find_file(explicit_path, environment);
}

config::Loaded Context::load_config() const {
  const auto file = config_file();
  return file ? config::load_file(*file, environment) : config::embedded_default(environment);
}

int run(int argc, char** argv) {
  Context context;
  context.environment = config::process_environment();
  CommandLine line("spillway",
                   "Keeps LLM calls answered: one door in front of providers and local engines, with failover.",
                   "spillway " + std::string(version()));
  const Command app = line.program();
  add_globals(app, context);
  add_serve(app, context);
  add_run(app, context);
  add_launch(app, context);
  add_env(app, context);
  add_check(app, context);
  add_drill(app, context);
  add_simulate(app, context);
  add_status(app, context);
  add_top(app, context);
  add_pull(app, context);
  add_list(app, context);
  add_import(app, context);
  add_doctor(app, context);
  add_ps(app, context);
  add_deploy(app, context);
  add_show(app, context);
  add_cp(app, context);
  add_rm(app, context);
  add_models(app, context);
  add_completion(app, context);
  add_version(app, context);
  return line.run(argc, argv);
}

}  // namespace spillway::cli
