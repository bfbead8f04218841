// From spillway.toml to a Config, or to the list of every mistake in it.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "config/config.h"

namespace spillway::config {

// One mistake, as "FILE:LINE:COLUMN: message" and a suggestion.
struct Problem {
  std::string file;
  std::uint32_t line = 0;  // from 1; 0: about the whole
  std::uint32_t column = 0;
  std::string message;
  std::string hint;
  bool warning = false;

  // "FILE:LINE:COLUMN: error: message" (or "warning:") and, on a second line, "  mend: hint".
  [[nodiscard]] std::string to_string() const;
};

// A file that a Config came from.
struct SeenFile {
  std::filesystem::path path;
  FileState state;  // as it was when it was read
};

struct Loaded {
  std::optional<Config> config;  // set exactly when there are no problems
  std::vector<Problem> problems;
  std::vector<Problem> warnings;  // what is right, and yet not what one would think
  std::vector<SeenFile> files;    // all that were read or looked for: the config, keys, certificates
};

// The process's environment, or a test's: the value of a variable, nothing when it is not set.
using Environment = std::function<std::optional<std::string>(const std::string&)>;
Environment process_environment();

// Reads, checks and completes. Never throws; `path` appears in the Problems as it is given.
Loaded load_file(const std::filesystem::path& path, const Environment& environment);
Loaded load_text(std::string_view toml, const std::filesystem::path& path, const Environment& environment);

// The Config of a start without any file: each provider whose API key is in the environment, in
// the order of the presets table, and the default local model behind them.
// A provider whose Dialect this version does not speak yet is left out, with a warning.
Loaded embedded_default(const Environment& environment);

// The first that exists of: `explicit_path` (exists or not), $SPILLWAY_CONFIG, ./spillway.toml,
// ~/.config/spillway/spillway.toml. Nothing: none exists.
std::optional<std::filesystem::path> find_file(const std::optional<std::filesystem::path>& explicit_path,
                                               const Environment& environment);

// The Config as TOML that reads back alike, defaults filled in, secrets by their source only.
std::string print(const Config& config);

// docs/configuration.md between its markers: a table for each section, from the schema.
std::string documentation_tables();

}  // namespace spillway::config
