// Power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001) on the product of
// time and load that Finagle's PeakEwma uses. To ask always the best of all would send the requests of one moment to
// one Target, and never learn that another one has become faster.
#include <algorithm>
#include <utility>

#include "route/policy.h"

namespace spillway::route {

namespace {

// One that is not known yet is asked at once.
double score(const Candidate& candidate) { return candidate.first_token_ms * (candidate.in_flight + 1); }

}  // namespace

std::vector<std::uint32_t> latency(std::span<const Candidate> candidates, const Random& random) {
  std::vector<std::uint32_t> order = ordered(candidates, random);
  std::ranges::sort(order, {}, [&](std::uint32_t i) { return std::pair(score(candidates[i]), i); });
  const std::size_t count = order.size();
  if (count < 3) return order;  // the better of two is the best
  const auto draw = [&](std::size_t below) {
    return std::min(below - 1, static_cast<std::size_t>(random() * static_cast<double>(below)));
  };
  const std::size_t one = draw(count);
  std::size_t other = draw(count - 1);
  if (other >= one) ++other;
  // The better one stands further to the front.
  const auto winner = order.begin() + static_cast<std::ptrdiff_t>(std::min(one, other));
  std::rotate(order.begin(), winner, winner + 1);
  return order;
}

}  // namespace spillway::route
