// What a machine is good for: its tier, the models that fit, what is wrong with it. Pure: from a Machine alone.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/hardware/machine.h"
#include "fleet/models/gguf.h"

namespace spillway::fleet {

enum class HardwareTier {
  kCloudOnly,   // not even a small model has room
  kDevice,      // below basic
  kBasic,       // 8 cores, 32 GB, a GPU of 16 GB (T4): light use
  kStandard,    // 16 cores, 64 GB, a GPU of 40 GB and more (A100): medium use
  kEnterprise,  // 32 cores, 128 GB, two of them: several modes at once
};
std::string_view to_string(HardwareTier tier);

struct TierVerdict {
  HardwareTier tier = HardwareTier::kCloudOnly;
  std::string missing;  // for the next tier: "8 more cores, a GPU of 16 GB"; empty: there is none above
};
TierVerdict tier_of(const Machine& machine);

// A model that could be run here.
struct Candidate {
  std::string name;                   // "Qwen2.5 7B"
  double parameters = 0;              // billions
  double active = 0;                  // of them used for a token
  std::uint64_t cache_per_token = 0;  // bytes, F16
  std::uint64_t longest_context = 0;  // tokens it was trained for
};
// Models that people run, from 135 M to 671 B parameters.
const std::vector<Candidate>& catalogue();

// Of one model: the best quantization with room for a useful context, and what that gives; or why none has.
struct Fit {
  std::string model;
  bool fits = false;
  std::string quantization;      // "Q4_K_M"
  std::string where;             // "GPU", "2 GPUs", "CPU"
  std::uint64_t memory = 0;      // bytes, with the context
  std::uint64_t context = 0;     // the longest that has room, in tokens
  double tokens_per_second = 0;  // of one answer, expected; 0: not known
  std::string why;               // in a few words
};
std::vector<Fit> what_fits(const Machine& machine);

// The same of a Model in the store, whose header tells exactly.
Fit fit_of(const Machine& machine, const std::string& name, const GgufDetails& model);

struct Finding {
  enum class Severity { kProblem, kWarning };
  Severity severity = Severity::kWarning;
  std::string what;
  std::string mend;
};
// What is broken (kProblem), and what would end the service by failing alone (kWarning). Problems first.
std::vector<Finding> findings_of(const Machine& machine);

}  // namespace spillway::fleet
