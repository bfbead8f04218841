#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"
#include "serve/gateway.h"

namespace spillway::cli {

namespace {

struct CheckOptions {
  bool print = false;
  bool json = false;
  bool documentation = false;
};

nlohmann::json to_json(const std::vector<config::Problem>& problems) {
  nlohmann::json out = nlohmann::json::array();
  for (const config::Problem& problem : problems) {
    out.push_back({{"file", problem.file},
                   {"line", problem.line},
                   {"column", problem.column},
                   {"message", problem.message},
                   {"hint", problem.hint}});
  }
  return out;
}

int check(const Context& context, const CheckOptions& options) {
  if (options.documentation) return print(config::documentation_tables()) ? kFine : kFailed;
  config::Loaded loaded = context.load_config();
  const auto file = context.config_file();
  if (loaded.config) {
    if (const Status fine = serve::Gateway::check(*loaded.config); !fine) {
      loaded.problems.push_back({file.value_or("").string(), 0, 0, fine.error().message, fine.error().hint});
      loaded.config.reset();
    }
  }
  const std::string name = file ? file->string() : "the embedded default";
  if (options.json) {
    const nlohmann::json out = {{"file", file ? file->string() : ""},
                                {"ok", loaded.config.has_value()},
                                {"problems", to_json(loaded.problems)},
                                {"warnings", to_json(loaded.warnings)}};
    print(out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
    return loaded.config ? kFine : kUsage;
  }
  print_problems(loaded);
  if (!loaded.config) return kUsage;
  if (options.print) return print(config::print(*loaded.config)) ? kFine : kFailed;
  print(name + ": fine, " + std::to_string(loaded.config->backends.size()) + " backend(s), " +
        std::to_string(loaded.config->routes.size()) + " route(s)\n");
  return kFine;
}

}  // namespace

void add_check(Command app, Context& context) {
  Command command = app.subcommand("check", "Check the config: every mistake at once, with its place and a suggestion");
  auto options = std::make_shared<CheckOptions>();
  command.flag("--print", options->print, "Print the config as it takes effect: with defaults, without secrets");
  command.flag("--json", options->json, "Print the result as JSON");
  command.flag("--documentation", options->documentation,
               "Print the tables of all options, as in docs/configuration.md");
  command.footer(R"(
Exit codes: 0 it is right, 2 it is not.

Examples:
  spillway check
  spillway --config spillway.toml check --print)");
  command.action([&context, options] { return check(context, *options); });
}

}  // namespace spillway::cli
