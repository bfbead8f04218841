// The bounds of one engine: a control group of its own, of version 2 or 1.
//
// Below the group that this process is in, which has to be ours to change: as root, or delegated (systemd:
// Delegate=yes). Version 2 lets a group have either processes or bounded groups below it: this process then moves into
// one beside the engines', "spillway.gateway".
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

struct Bounds {
  double cpus = 0;           // processor seconds a second; 0: none
  std::uint64_t memory = 0;  // bytes; 0: none

  [[nodiscard]] bool any() const { return cpus > 0 || memory > 0; }
};

class ControlGroup {
 public:
  // An Error where none can be made here. `root` is "/" but in tests.
  static Result<std::unique_ptr<ControlGroup>> make(const Root& root, const Bounds& bounds);
  // Removes it; whoever was in it has to have ended, or is about to. On one thread for all groups.
  ~ControlGroup();
  ControlGroup(const ControlGroup&) = delete;
  ControlGroup& operator=(const ControlGroup&) = delete;

  // Who writes "0" to each of these is in the group.
  [[nodiscard]] std::vector<std::filesystem::path> entrances() const;
  // The kernel has killed somebody in it for want of memory.
  [[nodiscard]] bool out_of_memory() const;

 private:
  explicit ControlGroup(Root root) : root_(std::move(root)) {}

  Root root_;
  std::vector<std::string> folders_;  // one for each hierarchy
  std::string memory_;                // of these; empty: memory is not bounded
};

}  // namespace spillway::fleet
