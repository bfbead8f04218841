#include <numeric>

#include "route/policy.h"

namespace spillway::route {

std::vector<std::uint32_t> ordered(std::span<const Candidate> candidates, const Random& /*random*/) {
  std::vector<std::uint32_t> order(candidates.size());
  std::iota(order.begin(), order.end(), 0u);
  return order;
}

Policy find_policy(std::string_view name) {
  if (name == "latency") return latency;
  if (name == "cost") return cost;
  if (name == "weighted") return weighted;
  return ordered;
}

}  // namespace spillway::route
