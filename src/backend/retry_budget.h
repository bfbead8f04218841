// How often a Backend may be asked again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace spillway::backend {

// A bucket of tries, as gRPC's retry throttling (proposal A6) with its two sides told apart: each first Attempt at the
// Backend puts in kPerAttempt, each further one by the same Exchange takes one out. So a Backend that fails gets at
// most a fifth more calls, whatever `retries` says, and a few in a row where there is little traffic. From any thread.
class RetryBudget {
 public:
  static constexpr std::int64_t kMost = 10;  // tries; full at the beginning
  static constexpr double kPerAttempt = 0.2;

  void earn() {
    std::int64_t now = left_.load(std::memory_order_relaxed);
    while (now < kMost * kUnit &&
           !left_.compare_exchange_weak(now, std::min(now + kEarned, kMost * kUnit), std::memory_order_relaxed)) {
    }
  }
  // False: there is none left.
  bool take() {
    std::int64_t now = left_.load(std::memory_order_relaxed);
    while (now >= kUnit) {
      if (left_.compare_exchange_weak(now, now - kUnit, std::memory_order_relaxed)) return true;
    }
    return false;
  }

 private:
  static constexpr std::int64_t kUnit = 100;
  static constexpr std::int64_t kEarned = static_cast<std::int64_t>(kPerAttempt * kUnit);
  std::atomic<std::int64_t> left_{kMost * kUnit};
};

}  // namespace spillway::backend
