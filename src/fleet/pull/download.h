// Fetches one large file over HTTP in parallel ranged parts, so that what is there at the end is right.
//
//   FILE        where it is put together
//   FILE.json   what is there (parts.h), written every second: a fetch that was killed goes on from it
//
// Each part is checked as it comes (status, range, length, Content-Digest where the server gives one), again from the
// disk at the end, and the whole against its SHA-256. What is wrong is fetched again alone. A server that cuts, stalls,
// limits or fails is asked again, from where it was, or another place is; one that serves something else is left.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "fleet/pull/http.h"

namespace spillway::fleet {

struct Remote {
  std::vector<web::Request> places;   // the same file at each; the first is preferred
  std::optional<std::uint64_t> size;  // bytes, where a manifest tells
  std::string sha256;                 // likewise; empty: any content is taken
  bool gguf = true;                   // it has to begin as a GGUF file does
};

struct DownloadOptions {
  int connections = 8;        // parts at a time
  int retries = 6;            // failures of one part on end that are borne
  seconds stall{15};          // below kSlow for so long, a connection is given up
  milliseconds backoff{250};  // before the first retry; doubled for each, with full jitter, up to 10 s
};
inline constexpr std::uint64_t kSlow = 4096;  // bytes a second

struct DownloadProgress {
  enum class Phase { kChecking, kFetching, kVerifying };  // of what was there before; of the whole
  Phase phase = Phase::kFetching;
  std::uint64_t done = 0;   // bytes
  std::uint64_t total = 0;  // bytes
};
using DownloadWatch = std::function<void(const DownloadProgress&)>;  // called a few times a second

struct Downloaded {
  std::string sha256;
  std::string validator;  // what its place calls this version; may be empty
};

// The file is whole and safely on the disk then; FILE.json is gone. One caller at a time for a FILE. Errors: kCorrupt
// for a file that is not what it should be; kUnavailable for a network that fails on and on; kNotFound,
// kPermissionDenied by the server's word; kResourceExhausted for a full disk. What was fetched stays.
Result<Downloaded> download(const Remote& remote, const std::filesystem::path& file, const DownloadOptions& options,
                            const DownloadWatch& watch);

// Is the answer to a request for `bytes first-last` of `size`? (RFC 9110, 14.4)
bool is_content_range(std::string_view field, std::uint64_t first, std::uint64_t last, std::uint64_t size);

// Does a Content-Digest contradict this SHA-256? Not where it has no sha-256.
bool digest_contradicts(std::string_view field, std::string_view sha256_hex);

}  // namespace spillway::fleet
