#include "fleet/pull/parts.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kMiB = 1u << 20;
constexpr std::uint64_t kPartsAtMost = 64;  // of a file for which that keeps them within the limits
constexpr std::uint64_t kMaxParts = 1u << 20;
constexpr std::size_t kReadBlock = 1u << 20;

// Reads `size` bytes at `offset` and hands them to `take`. False: the file ends before.
template <class Take>
Result<bool> read_range(int fd, const fs::path& file, std::uint64_t offset, std::uint64_t size, Take take) {
  std::vector<char> block(kReadBlock);
  while (size > 0) {
    const std::size_t want = std::min<std::uint64_t>(size, block.size());
    const ssize_t got = ::pread(fd, block.data(), want, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return system_error("cannot read", file, errno);
    if (got == 0) return false;
    take(block.data(), static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
    size -= static_cast<std::uint64_t>(got);
  }
  return true;
}

// An unsigned number, or nothing.
std::optional<std::uint64_t> number(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<std::uint64_t>();
}

bool read_part(const Json& json, Part& part) {
  const auto received = number(json, "received");
  const auto digest = json.find("sha256");
  if (!received || *received > part.size || digest == json.end() || !digest->is_string()) return false;
  part.received = *received;
  part.digest = digest->get<std::string>();
  return is_sha256_hex(part.digest);
}

}  // namespace

bool Parts::whole() const { return std::ranges::all_of(all, &Part::whole); }

std::uint64_t Parts::received() const {
  std::uint64_t sum = 0;
  for (const Part& part : all) sum += part.received;
  return sum;
}

std::uint64_t part_size_for(std::uint64_t file_size) {
  const std::uint64_t mib = (file_size / kPartsAtMost + kMiB - 1) / kMiB;
  return std::clamp(mib * kMiB, kLeastPart, kLargestPart);
}

Parts make_parts(std::uint64_t size, std::uint64_t part_size) {
  Parts out;
  out.size = size;
  out.part_size = part_size;
  for (std::uint64_t offset = 0; offset < size; offset += part_size) {
    Part part;
    part.offset = offset;
    part.size = std::min(part_size, size - offset);
    out.all.push_back(std::move(part));
  }
  return out;
}

void reset(Part& part) {
  part.received = 0;
  part.digest.clear();
  part.hash.reset();
}

std::string parts_to_json(const Parts& parts) {
  Json received = Json::object();
  for (std::size_t i = 0; i < parts.all.size(); ++i) {
    const Part& part = parts.all[i];
    if (part.received == 0) continue;
    received[std::to_string(i)] = {{"received", part.received},
                                   {"sha256", part.hash ? part.hash->digest_so_far() : part.digest}};
  }
  const Json json = {
      {"size", parts.size}, {"part_size", parts.part_size}, {"validator", parts.validator}, {"parts", received}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::optional<Parts> parts_from_json(std::string_view text, std::optional<std::uint64_t> size) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  const auto told = number(json, "size");
  const auto part_size = number(json, "part_size");
  const auto validator = json.find("validator");
  const auto received = json.find("parts");
  if (!told || *told == 0 || (size && *size != *told) || !part_size || *part_size == 0 ||
      *told / *part_size > kMaxParts || validator == json.end() || !validator->is_string() || received == json.end() ||
      !received->is_object()) {
    return std::nullopt;
  }
  Parts out = make_parts(*told, *part_size);
  out.validator = validator->get<std::string>();
  for (std::size_t i = 0; i < out.all.size(); ++i) {
    const auto found = received->find(std::to_string(i));
    if (found != received->end() && !read_part(*found, out.all[i])) return std::nullopt;
  }
  return out;
}

Result<std::size_t> check_on_disk(Parts& parts, const fs::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("cannot read", file, errno);
  std::size_t bad = 0;
  for (Part& part : parts.all) {
    if (part.received == 0) continue;
    Sha256 hash;
    const Result<bool> there = read_range(fd.get(), file, part.offset, part.received,
                                          [&hash](const char* data, std::size_t size) { hash.update(data, size); });
    if (!there) return there.error();
    if (!*there || hash.digest_so_far() != part.digest) {
      reset(part);
      ++bad;
    } else if (!part.whole()) {
      part.hash = std::move(hash);
    }
  }
  return bad;
}

Result<Verified> verify(Parts& parts, const fs::path& file) {
  const FileDescriptor fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return system_error("cannot read", file, errno);
  Verified out;
  Sha256 whole;
  for (Part& part : parts.all) {
    Sha256 hash;
    const Result<bool> there =
        read_range(fd.get(), file, part.offset, part.size, [&](const char* data, std::size_t size) {
          hash.update(data, size);
          whole.update(data, size);
        });
    if (!there) return there.error();
    if (!*there || hash.finish() != part.digest) {
      reset(part);
      ++out.bad;
    }
  }
  out.digest = whole.finish();
  return out;
}

}  // namespace spillway::fleet
