#include "bench/figures.h"

#include <algorithm>
#include <boost/math/distributions/binomial.hpp>
#include <cmath>

namespace spillway::bench {

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(values.size())));
  return values[std::clamp<std::size_t>(rank, 1, values.size()) - 1];
}

Interval confidence95(std::uint64_t successes, std::uint64_t count) {
  using Binomial = boost::math::binomial_distribution<>;
  constexpr double kAlpha = 0.05;
  if (count == 0) return {};
  const auto n = static_cast<double>(count);
  const auto k = static_cast<double>(successes);
  if (successes == count) return {Binomial::find_lower_bound_on_p(n, k, kAlpha), 1};
  if (successes == 0) return {0, Binomial::find_upper_bound_on_p(n, k, kAlpha)};
  return {Binomial::find_lower_bound_on_p(n, k, kAlpha / 2), Binomial::find_upper_bound_on_p(n, k, kAlpha / 2)};
}

}  // namespace spillway::bench
