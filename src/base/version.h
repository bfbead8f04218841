// The version of this build.
#pragma once

#include <string_view>

namespace spillway {

// "0.1.0": MAJOR.MINOR.PATCH of the project (semver.org).
std::string_view version();

}  // namespace spillway
