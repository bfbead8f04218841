// Power of two choices (Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001) on time and load,
// as in Finagle's PeakEwma. To ask always the best of all would send the requests of one moment to one Target, and
// never learn that another one has become faster.
#include <algorithm>
#include <tuple>

#include "route/policy.h"

namespace spillway::route {

namespace {

// So many Attempts under way count as much as twice the time. How many are too many is the Gate's to say: this only
// keeps the requests of one moment from all going where it was fastest a moment before.
constexpr double kCrowd = 200;

constexpr double kGuess = 1'000;  // ms, of one that is not known yet and is being asked

// One that is not known yet is asked at once, by one.
double score(const Candidate& candidate) {
  const bool known = candidate.first_token_ms > 0;
  if (!known && candidate.in_flight == 0) return 0;
  return (known ? candidate.first_token_ms : kGuess) * (1 + candidate.in_flight / kCrowd);
}

}  // namespace

std::vector<std::uint32_t> latency(std::span<const Candidate> candidates, const Random& random) {
  std::vector<std::uint32_t> order = ordered(candidates, random);
  std::ranges::sort(order, {},
                    [&](std::uint32_t i) { return std::tuple(!candidates[i].spared, score(candidates[i]), i); });
  const auto spared = static_cast<std::size_t>(std::ranges::count(candidates, true, &Candidate::spared));
  const std::size_t count = candidates.size() - spared;
  if (count < 3) return order;  // the better of two is the best
  const auto draw = [&](std::size_t below) {
    return std::min(below - 1, static_cast<std::size_t>(random() * static_cast<double>(below)));
  };
  const std::size_t one = draw(count);
  std::size_t other = draw(count - 1);
  if (other >= one) ++other;
  // The better one stands further to the front.
  const auto first = order.begin() + static_cast<std::ptrdiff_t>(spared);
  const auto winner = first + static_cast<std::ptrdiff_t>(std::min(one, other));
  std::rotate(first, winner, winner + 1);
  return order;
}

}  // namespace spillway::route
