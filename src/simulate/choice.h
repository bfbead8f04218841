// Which request is struck by what, and how fast it is answered.
#pragma once

#include <cstdint>
#include <utility>

#include "simulate/faults.h"
#include "simulate/profile.h"

namespace spillway::simulate {

// Pure: the same for the same profile, number and time. Of a script the next word holds; else, at the peak of a day,
// its error rate; else the probabilities of the faults. What is bursty strikes, in each kBurst requests in a row,
// either at 3.2 times its probability (a quarter of them, by chance) or at 0.267 times: the same share over all, as
// measured at providers under load.
class Chooser {
 public:
  static constexpr std::uint64_t kBurst = 20;  // requests
  static constexpr double kShareOfBursts = 0.25;
  static constexpr double kInBurst = 3.2;

  explicit Chooser(const Profile& profile) : profile_(profile) {}

  struct Choice {
    Strike strike;
    Timing timing;
  };
  // `number`: of the request, from 0. `since_start`: of the provider.
  [[nodiscard]] Choice choose(std::uint64_t number, Duration since_start) const;

  // Minutes after the day's midnight; -1: there is no day.
  [[nodiscard]] double time_of_day(Duration since_start) const;

 private:
  [[nodiscard]] double in_bursts(double probability, bool bursty, std::uint64_t number) const;

  const Profile& profile_;
};

}  // namespace spillway::simulate
