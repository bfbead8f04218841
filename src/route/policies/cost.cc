#include <algorithm>
#include <utility>

#include "route/policy.h"

namespace spillway::route {

std::vector<std::uint32_t> cost(std::span<const Candidate> candidates, const Random& random) {
  std::vector<std::uint32_t> order = ordered(candidates, random);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::pair(candidates[i].cost, i); });
  return order;
}

}  // namespace spillway::route
