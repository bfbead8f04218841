// How often a Backend may be asked again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>

namespace spillway::backend {

// A bucket of tries, as gRPC's retry throttling (proposal A6) with its two sides told apart: each first Attempt at the
// Backend puts a part of one in, each further one by the same Exchange takes one out. So a Backend that fails gets at
// most a fifth more calls, whatever `retries` says, and a few in a row where there is little traffic. From any thread.
class RetryBudget {
 public:
  // `ratio`: further tries for each first Attempt. `floor`: tries, at the beginning and at most.
  void set(double ratio, int floor) {
    earned_.store(static_cast<std::int64_t>(ratio * kUnit), std::memory_order_relaxed);
    const std::int64_t most = floor * kUnit;
    most_.store(most, std::memory_order_relaxed);
    std::int64_t left = left_.load(std::memory_order_relaxed);
    while (left > most && !left_.compare_exchange_weak(left, most, std::memory_order_relaxed)) {
    }
  }

  void earn() {
    const std::int64_t most = most_.load(std::memory_order_relaxed);
    const std::int64_t earned = earned_.load(std::memory_order_relaxed);
    std::int64_t now = left_.load(std::memory_order_relaxed);
    while (now < most && !left_.compare_exchange_weak(now, std::min(now + earned, most), std::memory_order_relaxed)) {
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
  std::atomic<std::int64_t> earned_{20};
  std::atomic<std::int64_t> most_{10 * kUnit};
  std::atomic<std::int64_t> left_{std::numeric_limits<std::int64_t>::max()};  // until set(): as much as there may be
};

}  // namespace spillway::backend
