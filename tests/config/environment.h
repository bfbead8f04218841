// An environment of a test's own.
#pragma once

#include <map>
#include <string>

#include "config/load.h"

namespace spillway::config {

inline Environment environment_of(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  };
}

}  // namespace spillway::config
