// Asking a running gateway's admin plane.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "config/config.h"

namespace spillway::cli {

// The body of GET `path` at `address`; blocks for at most `limit`. kUnavailable: nothing answers there.
Result<std::string> get_admin(const config::Address& address, const std::string& path, milliseconds limit);

}  // namespace spillway::cli
