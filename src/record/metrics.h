// Counters and histograms, one set for each thread, added up when they are asked for.
//
// A thread writes its own set with plain relaxed stores (about 1 ns; a shared atomic costs 10 and
// more), the admin endpoint reads them at any time. Series are made once for each label value and
// kept: hold the reference.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/mutex.h"
#include "base/time.h"

namespace spillway::record {

// Written by one thread, read by any.
class Counter {
 public:
  void add(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  void subtract(std::uint64_t count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) - count, std::memory_order_relaxed);
  }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

// Upper bounds of the latency buckets, in seconds.
inline constexpr std::array<double, 14> kLatencyBounds{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                       1,     2.5,  5,     10,   30,  60,   300};

class Histogram {
 public:
  void observe(Duration duration);
  [[nodiscard]] std::uint64_t count_in(std::size_t bucket) const { return buckets_[bucket].value(); }
  [[nodiscard]] double sum_seconds() const { return static_cast<double>(micros_.value()) / 1e6; }
  static constexpr std::size_t kBuckets = kLatencyBounds.size() + 1;

 private:
  std::array<Counter, kBuckets> buckets_;  // not cumulative; the last one has no bound
  Counter micros_;
};

// How an Attempt can end, as a label; the order is that of attempt::OutcomeClass.
inline constexpr std::array<std::string_view, 26> kAttemptClasses{
    "answered", "resolve",  "connect",  "tls",          "timeout",     "first_token", "stall",    "slow",     "cut",
    "garbage",  "empty",    "overload", "rate_limited", "quota",       "server",      "config",   "no_model", "context",
    "client",   "mismatch", "outrun",   "shed",         "unsupported", "replaced",    "internal", "abandoned"};

// What one thread knows of one Backend.
struct BackendSeries {
  explicit BackendSeries(std::string name_of) : name(std::move(name_of)) {}
  std::string name;
  std::array<Counter, kAttemptClasses.size()> attempts;  // by class
  Counter in_flight;
  Counter bytes;    // relayed to clients
  Counter events;   // of streams
  Counter resumes;  // answers of another Attempt that it went on with
  Counter hedges;   // Attempts here beside one at another Target that was slow
  Histogram first_token;
};

// What one thread knows of one Route.
struct RouteSeries {
  explicit RouteSeries(std::string name_of) : name(std::move(name_of)) {}
  std::string name;
  std::array<Counter, 5> requests;  // by status class: 1xx … 5xx
  Counter broken_streams;
  Histogram duration;
};

class ThreadMetrics {
 public:
  // The series of that name, made when it is new. From the owning thread.
  BackendSeries& backend(std::string_view name);
  RouteSeries& route(std::string_view name);

  Counter refused_requests;  // 4xx before they were an Exchange
  Counter clients_gone;

 private:
  friend class Metrics;
  Mutex mutex_;  // guards the growth of the two lists, not what is in them
  std::deque<BackendSeries> backends_ SPILLWAY_GUARDED_BY(mutex_);
  std::deque<RouteSeries> routes_ SPILLWAY_GUARDED_BY(mutex_);
};

// A value that is read when it is asked for: one line of the exposition.
struct Gauge {
  std::string name;
  std::string help;
  std::string labels;  // `backend="a"`; empty: none
  double value = 0;
};

class Metrics {
 public:
  // A set for a further thread; lives as long as this.
  ThreadMetrics& add_thread();

  // Prometheus text format 0.0.4 of everything, with `gauges` behind it.
  std::string render(const std::vector<Gauge>& gauges);

  struct BackendTotals {
    std::string name;
    std::array<std::uint64_t, kAttemptClasses.size()> attempts{};
    std::uint64_t in_flight = 0;
    std::uint64_t hedges = 0;
    std::uint64_t resumes = 0;
  };
  // Sums over threads, by Backend.
  std::vector<BackendTotals> backend_totals();

 private:
  Mutex mutex_;
  std::vector<std::unique_ptr<ThreadMetrics>> threads_ SPILLWAY_GUARDED_BY(mutex_);
};

}  // namespace spillway::record
