// Local Backends with several Models or several Replicas, taken apart: each is a Backend of its own, with its own
// address, health and queue.
#pragma once

#include "config/config.h"

namespace spillway::config {

// A Backend with `models` becomes one for each of them, named NAME/MODEL. Where a Target names the Backend, it names
// one of these from now on: the one that the Target's `model` says, else the one that the client asked for, for which
// the Route gets exact Routes before it; else its `model`, the first. A Backend with `replicas` above 1, or `standby`,
// becomes as many as may run at once, named NAME/1 and on; where a Target names it, that Target becomes as many, side
// by side. Which of them is asked first is decided for each request (route::balance). Nothing changes where no Backend
// has either. Pure.
Config with_members(const Config& config);

// "local/llama3.2:1b", "local/2"
std::string member_name(const Backend& backend, const std::string& member);

}  // namespace spillway::config
