// How a simulated provider behaves: a TOML file, or what the command line says.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "config/load.h"

namespace spillway::simulate {

// [[fault]]: something that goes wrong with a part of the requests.
struct FaultRule {
  std::string name;  // for `script`; empty: that of its kind
  std::string kind;  // a name of faults(), or an HTTP status as in "503"
  double probability = 0;
  bool bursty = false;       // see Chooser
  std::optional<double> at;  // the share of the answer's tokens after which it strikes; not set: anywhere
  std::optional<milliseconds> retry_after;  // of a status
  std::string message;                      // of a status; empty: one for it
  std::string code;                         // of a status: `error.code`
};

// [day]: a working day, in short.
struct Day {
  milliseconds length{0};   // of 24 hours; 0: there is no day, and no peak
  int starts_at = 9 * 60;   // minutes after midnight when the provider starts
  int peak_from = 10 * 60;  // the same
  int peak_to = 12 * 60;
  double latency = 4.2;       // first_token is that many times as long at the peak
  double error_rate = 0.187;  // at the peak
  bool bursty = false;        // see Chooser
  std::string kind = "503";   // what goes wrong then
};

struct Profile {
  std::string model = "simulated-1";  // as it names itself
  std::uint64_t seed = 1;
  std::string text;               // what it answers to everything; empty: made up from the request
  int tokens = 64;                // of a made-up answer
  int reasoning_tokens = 0;       // before it, unless the request switches thinking off
  int tool_calls = 0;             // where the request has tools: so many calls at once, behind the text
  milliseconds first_token{200};  // median time to the first token
  double latency_spread = 0;      // standard deviation of its logarithm
  double tokens_per_second = 50;  // 0: all at once
  // The forms in which it goes on with an assistant's part; others are refused with 400.
  std::vector<std::string> resume{"prefix", "partial", "prefix_field", "continue_final_message", "assistant"};
  std::string api_key;              // asked for; empty: none is needed
  std::vector<std::string> script;  // names of faults, or "ok", for one request after the other; the last one repeats
  std::vector<FaultRule> faults;
  Day day;
};

struct LoadedProfile {
  std::optional<Profile> profile;  // set exactly when there are no problems
  std::vector<config::Problem> problems;
};
LoadedProfile load_profile(const std::filesystem::path& path);
LoadedProfile load_profile_text(std::string_view toml, const std::filesystem::path& path);

// Why `word` cannot stand in `script` of `profile`; empty: it can.
std::string why_no_script(const Profile& profile, std::string_view word);

// The tables of docs/simulate.md: every key, every fault.
std::string profile_documentation();

}  // namespace spillway::simulate
