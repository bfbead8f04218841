// What of a Config is to be started, with all that can be found out before anything is.
#pragma once

#include <filesystem>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/models/manifest.h"

namespace spillway::fleet {

// One Replica to be run.
struct ReplicaPlan {
  config::Backend backend;
  Model model;                    // found and whole
  std::filesystem::path program;  // the engine
  std::filesystem::path log_file;
};

// One for each local Backend of `config`. Makes `data`/log, and looks whether the log files can be
// written to; the rest is only read. The Error's message begins with `backend "NAME"`.
Result<std::vector<ReplicaPlan>> make_plan(const config::Config& config, const std::filesystem::path& data,
                                           const config::Environment& environment);

// Would the same weights be loaded?
bool same_model(const ReplicaPlan& a, const ReplicaPlan& b);

// Would the engine be started in the same way? What only tells Spillway how to treat it
// (start_timeout, prices, limits) does not matter.
bool same_run(const ReplicaPlan& a, const ReplicaPlan& b);

}  // namespace spillway::fleet
