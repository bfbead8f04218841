// What can be said of a number of measurements.
#pragma once

#include <cstdint>
#include <vector>

namespace spillway::bench {

// By nearest rank (no value that was not measured); `share` from 0 to 1; 0 where there are none. Sorts `values`.
double percentile(std::vector<double>& values, double share);

// Bounds of a probability, as shares.
struct Interval {
  double low = 0;
  double high = 1;
};
// Of the probability of success, after `successes` of `count` trials: 95 % confidence (Clopper and Pearson, 1934,
// exact). Where all or none succeeded, all of the 5 % stands on the one side that is left: 0 failures in 9,985 show at
// least 99.97 %.
Interval confidence95(std::uint64_t successes, std::uint64_t count);

}  // namespace spillway::bench
