// Which parts of a file that is being fetched are there, and what they have to look like.
//
// Written down beside the file, so that a fetch that was killed goes on where it was: what was received of a part is
// kept with its SHA-256, and counts again only when the disk still has it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "fleet/models/sha256.h"

namespace spillway::fleet {

inline constexpr std::uint64_t kLeastPart = 4u << 20;      // below it a part's request costs more than its bytes
inline constexpr std::uint64_t kLargestPart = 128u << 20;  // what is fetched again where one byte is wrong

struct Part {
  std::uint64_t offset = 0;    // in the file
  std::uint64_t size = 0;      // bytes
  std::uint64_t received = 0;  // of them, from the beginning
  std::string digest;          // SHA-256 of what was received; of a part under way, when it was last written down
  std::optional<Sha256> hash;  // over what was received, of a part under way

  [[nodiscard]] bool whole() const { return received == size; }
};

struct Parts {
  std::uint64_t size = 0;       // of the file
  std::uint64_t part_size = 0;  // of each but the last
  std::string validator;        // what the file was called by who served it (ETag or Last-Modified); may be empty
  std::vector<Part> all;

  [[nodiscard]] bool whole() const;
  [[nodiscard]] std::uint64_t received() const;
};

// A 64th of the file, in whole MiB, within the limits above.
std::uint64_t part_size_for(std::uint64_t file_size);

// `size` is above 0.
Parts make_parts(std::uint64_t size, std::uint64_t part_size);

// Forgets what was received of it.
void reset(Part& part);

std::string parts_to_json(const Parts& parts);

// The reverse. Nothing: it is broken, or of a file of another size.
std::optional<Parts> parts_from_json(std::string_view text, std::optional<std::uint64_t> size);

// Reads what was received of each part from `file`, up to where it should be, and forgets the parts that are not what
// was written down; how many. Parts under way can go on after it. An Error for a file that cannot be read.
Result<std::size_t> check_on_disk(Parts& parts, const std::filesystem::path& file);

// SHA-256 of the whole file, read once; parts whose bytes are not what was received are reset, and counted in `bad`.
struct Verified {
  std::string digest;
  std::size_t bad = 0;
};
Result<Verified> verify(Parts& parts, const std::filesystem::path& file);

}  // namespace spillway::fleet
