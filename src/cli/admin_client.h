// Asking a running gateway's admin plane.
#pragma once

#include <string>

#include "base/result.h"
#include "base/time.h"
#include "cli/app.h"
#include "config/config.h"

namespace spillway::cli {

// Where the admin plane is: `option` (--admin), else what the config says; what is wrong with the config is printed.
Result<config::Address> admin_address(const Context& context, const std::string& option);

inline constexpr milliseconds kAdminTime{5'000};  // that a question may take

// The body of GET `path` at `address`; blocks for at most `limit`. kUnavailable: nothing answers there.
Result<std::string> get_admin(const config::Address& address, const std::string& path, milliseconds limit);

}  // namespace spillway::cli
