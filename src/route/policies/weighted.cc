// Drawn without putting back, by the largest u^(1/w) (Efraimidis and Spirakis, "Weighted random sampling with a
// reservoir", 2006): so the second place, too, is drawn by weight among those that are left.
#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "route/policy.h"

namespace spillway::route {

std::vector<std::uint32_t> weighted(std::span<const Candidate> candidates, const Random& random) {
  std::vector<double> keys;
  keys.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    // As a logarithm, which small weights do not round to zero.
    keys.push_back(candidate.weight > 0 ? std::log1p(-random()) / candidate.weight
                                        : -std::numeric_limits<double>::infinity());
  }
  std::vector<std::uint32_t> order = ordered(candidates, random);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::pair(-keys[i], i); });
  return order;
}

}  // namespace spillway::route
