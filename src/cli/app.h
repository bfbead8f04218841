// The command line: `spillway [--config FILE] [--data DIR] [--log-level L] COMMAND`.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "base/log.h"
#include "config/load.h"

namespace spillway::cli {

// The contract's exit codes.
inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;  // the thing asked for failed, or a check did not hold
inline constexpr int kUsage = 2;   // wrong usage or config

// What all commands share.
struct Context {
  CLI::App* app = nullptr;
  std::string config_option;  // --config; empty: not given
  std::string data_option;
  std::string log_level_option;
  config::Environment environment;
  int exit_code = kFine;  // set by the command that ran

  [[nodiscard]] std::filesystem::path data() const;  // --data, $SPILLWAY_DATA, ~/.local/share/spillway
  [[nodiscard]] std::optional<log::Level> log_level() const;
  // The config file that holds, if there is one.
  [[nodiscard]] std::optional<std::filesystem::path> config_file() const;
  // That file, or the embedded default where there is none.
  [[nodiscard]] config::Loaded load_config() const;
};

// Parses and runs; returns the exit code. Never throws.
int run(int argc, char** argv);

// One for each sub-command, in the file of its name. `context` outlives the app.
void add_serve(CLI::App& app, Context& context);
void add_run(CLI::App& app, Context& context);
void add_launch(CLI::App& app, Context& context);
void add_env(CLI::App& app, Context& context);
void add_check(CLI::App& app, Context& context);
void add_drill(CLI::App& app, Context& context);
void add_simulate(CLI::App& app, Context& context);
void add_status(CLI::App& app, Context& context);
void add_top(CLI::App& app, Context& context);
void add_pull(CLI::App& app, Context& context);
void add_models(CLI::App& app, Context& context);
void add_doctor(CLI::App& app, Context& context);
void add_deploy(CLI::App& app, Context& context);
void add_ps(CLI::App& app, Context& context);
void add_show(CLI::App& app, Context& context);
void add_cp(CLI::App& app, Context& context);
void add_list(CLI::App& app, Context& context);
void add_import(CLI::App& app, Context& context);
void add_rm(CLI::App& app, Context& context);
void add_completion(CLI::App& app, Context& context);
void add_version(CLI::App& app, Context& context);

}  // namespace spillway::cli
