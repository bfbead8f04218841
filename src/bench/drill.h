// A rehearsal of an overload: what was measured without Spillway and with it, and how it is told.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "bench/figures.h"
#include "bench/load.h"

namespace spillway::bench {

// One Attempt that was made for a request.
struct Tried {
  std::string backend;
  std::string cls;
  std::uint64_t events = 0;
  bool sent = true;  // false: it was shed before anything went out
};

// A request with all that was done for it. One line of the raw file.
struct Drilled {
  Sample sample;
  bool counts = true;  // false: of the calm lead-in
  std::vector<Tried> tried;
  double cost = 0;  // US dollars, of all Attempts
};

// The figures of one side. All but `requests` are of requests that count.
struct Side {
  std::uint64_t requests = 0;
  std::uint64_t answered = 0;
  Interval success;
  double p50_ms = 0, p95_ms = 0, p99_ms = 0;  // to the first token, of those that were answered
  std::uint64_t calls = 0;                    // to Backends
  double calls_per_request = 0;
  double cost = 0;                                // US dollars
  std::map<std::string, std::uint64_t> failures;  // "overload 503" → how many requests ended so
  std::map<std::string, std::uint64_t> backends;  // who answered how many
  std::map<std::string, std::uint64_t> attempts;  // "deepseek overload" → how many Attempts ended so
};
Side figures_of(const std::vector<Drilled>& requests);

struct Drill {
  std::vector<std::string> simulated;  // names of Backends
  std::vector<std::string> real;
  std::string overloaded;  // the Backend
  std::string peak;        // in words
  bool cost_known = true;  // false: some price is not, and counts as 0
  double per_second = 0;
  std::vector<Drilled> without;
  std::vector<Drilled> with;
};

// For a terminal.
std::string to_text(const Drill& drill);
// One object: {"simulated", "overloaded", "peak", "without": {…}, "with": {…}}.
std::string to_json(const Drill& drill);
// JSON lines, one for each request of both sides, from which all figures can be computed again.
std::string to_raw(const Drill& drill);
// One file that needs no other.
std::string to_html(const Drill& drill);

}  // namespace spillway::bench
