#include "fleet/hardware/own_groups.h"

#include <algorithm>

namespace spillway::fleet {

std::vector<std::string> group_folders(const std::string& mount, std::string group) {
  std::vector<std::string> out;
  while (!group.empty() && group != "/") {
    out.push_back(mount + group);
    group.erase(group.rfind('/'));
  }
  out.push_back(mount);
  return out;
}

std::string group_of(const Root& root, std::string_view controller) {
  const Result<std::string> text = root.text("/proc/self/cgroup");
  if (!text) return {};
  for (const std::string_view line : lines_of(*text)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    std::string_view controllers = line.substr(first + 1, second - first - 1);
    while (!controllers.empty() || controller.empty()) {
      const std::size_t comma = std::min(controllers.find(','), controllers.size());
      if (controllers.substr(0, comma) == controller) return std::string(line.substr(second + 1));
      if (controllers.empty()) break;
      controllers.remove_prefix(std::min(comma + 1, controllers.size()));
    }
  }
  return {};
}

}  // namespace spillway::fleet
