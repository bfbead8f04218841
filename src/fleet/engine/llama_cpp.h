// The engine llama.cpp: where llama-server is, how it is called, what its log says.
// Tried with llama.cpp v0.5.0.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/engine/engine.h"
#include "fleet/models/manifest.h"
#include "fleet/models/memory.h"

namespace spillway::fleet::llama_cpp {

// The first that there is of: $SPILLWAY_LLAMA_SERVER (must run when it is set),
// CACHE/engine/current/bin/llama-server, and PATH. CACHE is $SPILLWAY_CACHE, else
// $XDG_CACHE_HOME/spillway, else ~/.cache/spillway.
Result<std::filesystem::path> find_server(const config::Environment& environment);

// Refuses what in `engine_args` would take address, key, model or slots out of Spillway's hands.
Status check_arguments(const std::vector<std::string>& engine_args);

// The arguments of one start. llama-server divides --ctx-size over its slots, while a Backend's
// `context` is for each answer. engine_args come last, so that they win.
std::vector<std::string> server_arguments(const config::Backend& backend, const Model& model, std::uint16_t port,
                                          int threads = 0);

// The environment of one start: of `inherited` ("NAME=value") only what an engine needs (paths,
// locale, which GPUs, how OpenMP's threads behave), so that no provider's API key reaches it; and `key`, which it asks
// of every request but /health. As a variable, since arguments can be read by every user.
std::vector<std::string> server_environment(const std::vector<std::string>& inherited, const std::string& key);

// Whether its threads wait for each other with OpenMP, which lets others run meanwhile: the program, or the libraries
// of its kernels beside it, ask for that library. False: in busy loops, or it cannot be read.
bool waits_asleep(const std::filesystem::path& program);

// How it is going to run, engine_args included.
RunShape run_shape(const config::Backend& backend);

// Of one start, engine_args included.
HeldPrompts held_prompts(const config::Backend& backend, const Model& model);

// The last table "memory breakdown" in its log, over all devices; nothing where there is none.
std::optional<MemoryUse> reported_memory(std::string_view log);

// One line of the engine's own errors from the end of its log; its last lines when there are none.
std::string failure_text(std::string_view log_tail);

}  // namespace spillway::fleet::llama_cpp
