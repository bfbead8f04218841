// In which order the Targets of a Route are asked: one file in policies/ for each policy.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::route {

// A Target, as a policy sees it.
struct Candidate {
  double first_token_ms = 0;  // that is expected; 0: not known
  int in_flight = 0;          // Attempts there now
  double cost = 0;            // of this request, as far as it can be foreseen; US dollars
  double weight = 1;          // as the Config has it
  bool spared = false;        // by its Breaker
};

// Gives numbers from 0 (with) to 1 (without).
using Random = std::function<double()>;

// Puts all indices of the candidates in the order in which they are to be asked. Pure but for `random`. Whoever is
// spared, rests or is full comes later whatever its place here: that is attempt::next_move()'s.
using Policy = std::vector<std::uint32_t> (*)(std::span<const Candidate> candidates, const Random& random);

// As the Config has it: the first that can serves.
std::vector<std::uint32_t> ordered(std::span<const Candidate> candidates, const Random& random);
// The better of two that are drawn, by time to the first token and Attempts under way; then the others, the best first.
// In front of them those that are spared, so that their Breakers see the request: they let it through as a probe, or
// not.
std::vector<std::uint32_t> latency(std::span<const Candidate> candidates, const Random& random);
// The cheapest first.
std::vector<std::uint32_t> cost(std::span<const Candidate> candidates, const Random& random);
// Drawn, each by its weight; what has none comes last.
std::vector<std::uint32_t> weighted(std::span<const Candidate> candidates, const Random& random);

// The one of that name in the Config; ordered for a name that is none.
Policy find_policy(std::string_view name);

}  // namespace spillway::route
