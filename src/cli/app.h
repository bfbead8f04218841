// The command line: `spillway [--config FILE] [--data DIR] [--log-level L] COMMAND`.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "base/log.h"
#include "cli/command.h"
#include "config/load.h"

namespace spillway::cli {

// What all commands share.
struct Context {
  std::string config_option;  // --config; empty: not given
  std::string data_option;
  std::string log_level_option;
  config::Environment environment;

  [[nodiscard]] std::filesystem::path data() const;  // --data, $SPILLWAY_DATA, ~/.local/share/spillway
  [[nodiscard]] std::optional<log::Level> log_level() const;
  // The config file that holds, if there is one.
  [[nodiscard]] std::optional<std::filesystem::path> config_file() const;
  // That file, or the embedded default where there is none.
  [[nodiscard]] config::Loaded load_config() const;
};

// Parses and runs; returns the exit code. Never throws.
int run(int argc, char** argv);

// One for each sub-command, in the file of its name. `app` is the program; `context` outlives it.
void add_serve(Command app, Context& context);
void add_run(Command app, Context& context);
void add_launch(Command app, Context& context);
void add_env(Command app, Context& context);
void add_check(Command app, Context& context);
void add_drill(Command app, Context& context);
void add_simulate(Command app, Context& context);
void add_status(Command app, Context& context);
void add_top(Command app, Context& context);
void add_pull(Command app, Context& context);
void add_models(Command app, Context& context);
void add_doctor(Command app, Context& context);
void add_deploy(Command app, Context& context);
void add_ps(Command app, Context& context);
void add_show(Command app, Context& context);
void add_cp(Command app, Context& context);
void add_list(Command app, Context& context);
void add_import(Command app, Context& context);
void add_rm(Command app, Context& context);
void add_completion(Command app, Context& context);
void add_version(Command app, Context& context);

}  // namespace spillway::cli
