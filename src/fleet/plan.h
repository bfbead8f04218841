// What of a Config is to be started, with all that can be found out before anything is.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/engine/engine.h"
#include "fleet/models/manifest.h"
#include "fleet/models/memory.h"

namespace spillway::fleet {

// One Replica to be run.
struct ReplicaPlan {
  config::Backend backend;
  Model model;                    // found and whole, where it is a file; else only named
  std::filesystem::path program;  // the engine's
  std::filesystem::path log_file;
  const Engine* engine = nullptr;
  std::optional<RunShape> shape = {};  // where the engine tells how it runs
  int threads = 0;                     // for computing, where the Backend does not say; 0: the engine decides
  MemoryUse memory = {};               // that it is expected to take; 0: nobody can tell
};

// Is there room for it now? kResourceExhausted with the numbers, and what would fit.
Status check_room(const ReplicaPlan& plan, std::uint64_t room, std::string_view whose);

// Bytes for engines: main memory (what of it is free, or all), within the control group, and the GPUs'.
std::uint64_t memory_for_engines(bool free_now);

// Threads for each of so many engines that compute on `cores` processors side by side and wait in busy loops
// (Engine::waits_asleep); 0: the engine decides. With more threads than processors, over all of them, each waits for
// one that does not run: a token takes three times as long, and now and then a hundred times (two engines of two
// threads on two cores).
int threads_beside(const config::Backend& backend, double cores, int engines);

// One for each local Backend of `config`. What cannot fit on this machine even alone is refused. Makes `data`/log, and
// looks whether the log files can be written to; the rest is only read. The Error's message begins with `backend
// "NAME"`.
Result<std::vector<ReplicaPlan>> make_plan(const config::Config& config, const std::filesystem::path& data,
                                           const config::Environment& environment);

// Would the same weights be loaded?
bool same_model(const ReplicaPlan& a, const ReplicaPlan& b);

// Would the engine be started in the same way? What only tells Spillway how to treat it
// (start_timeout, prices, limits) does not matter.
bool same_run(const ReplicaPlan& a, const ReplicaPlan& b);

}  // namespace spillway::fleet
