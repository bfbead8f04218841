// Engines in containers of a Docker engine on this machine.
//
// They outlive us: an engine whose Spillway was killed goes on, and the next one with the same data folder takes it
// over where its Config still wants it as it is, and removes it where not. An ordered stop ends them. Each has a
// read-only root, no capabilities, no new privileges, our user, the host's network, and of our files its model alone,
// read-only.
#pragma once

#include <filesystem>
#include <functional>

#include "base/loop_timers.h"
#include "fleet/launcher/launcher.h"
#include "http/resolver.h"

namespace spillway::fleet::docker {

struct Daemon {
  std::string socket;  // a Unix-domain socket's path
  std::filesystem::path data;
};

// All references outlive it.
std::unique_ptr<Launcher> make_launcher(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver,
                                        Daemon daemon);

}  // namespace spillway::fleet::docker
