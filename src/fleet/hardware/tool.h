// Other programs that are asked for what they know, each for a short time.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace spillway::fleet {

// Where PATH has it; empty: nowhere.
std::string find_program(const std::string& name);

// What it prints on stdout and stderr, whatever its exit code; at most 1 MiB. kUnavailable: it cannot be run, or does
// not end within `limit` and was killed.
Result<std::string> run_tool(const std::string& program, const std::vector<std::string>& arguments, milliseconds limit);

}  // namespace spillway::fleet
