// The control groups that this process is in.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fleet/hardware/root.h"

namespace spillway::fleet {

// The group for a controller, as a path below its mount; version 2 has the empty controller. Empty: there is none.
std::string group_of(const Root& root, std::string_view controller);

// The folders of a control group and those above it, below one mount; the mount itself last.
std::vector<std::string> group_folders(const std::string& mount, std::string group);

}  // namespace spillway::fleet
