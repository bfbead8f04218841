// All of a Machine at once, within three seconds and without being root.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "config/load.h"
#include "fleet/hardware/machine.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

struct Examination {
  Root root;                           // not the live one: its programs, ports, clock and speeds are left out
  std::filesystem::path data;          // DATA: whose disk is looked at
  std::vector<std::string> addresses;  // "127.0.0.1:8080": are they free?
  bool measure = true;                 // speeds of disk and memory, for a second
  config::Environment environment;
};
Machine examine(const Examination& what);

// GB/s that all cores read together, tried for `limit`. Source of the idea: STREAM (McCalpin), the sum alone.
double measure_memory(milliseconds limit, int threads);

}  // namespace spillway::fleet
