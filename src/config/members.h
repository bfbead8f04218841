// A local Backend with several Models, taken apart: each Model is a Backend of its own that shares the room of the
// others.
#pragma once

#include "config/config.h"

namespace spillway::config {

// Each Backend with `models` becomes one for each of them, named NAME/MODEL, with `pool` = NAME. Where a Target names
// the Backend, it names one of these from now on: the one that the Target's `model` says, else the one that the client
// asked for, for which the Route gets exact Routes before it; else its `model`, the first. Nothing changes where no
// Backend has any. Pure.
Config with_members(const Config& config);

// "local/llama3.2:1b"
std::string member_name(const Backend& backend, const std::string& model);

}  // namespace spillway::config
