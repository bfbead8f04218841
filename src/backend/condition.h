// What all threads know of a Backend: whether it answers, as its log lines tell it, and what it cannot do.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "admit/gate.h"
#include "backend/breaker.h"
#include "backend/load.h"
#include "backend/resume_memory.h"
#include "backend/retry_budget.h"
#include "backend/slot_book.h"
#include "base/mutex.h"
#include "base/time.h"

namespace spillway::backend {

// One for each Backend's name, shared by all threads; a success costs one load. Says when a line is due: once when the
// Backend begins to fail, once when it answers again, not at each failure in between.
class Condition {
 public:
  static constexpr std::uint32_t kInARow = 5;  // at a provider that fails 18.7 % of calls: one in 4,400 by chance
  static constexpr seconds kForSoLong{10};     // where there are few requests, two that far apart are enough

  struct Change {
    enum class Kind { kNone, kFails, kAnswersAgain };
    Kind kind = Kind::kNone;
    std::uint32_t failures = 0;  // in a row, until now
    Duration lasted{};           // since the first of them
  };

  // An Attempt has failed by the Backend's or the operator's fault. `never_heals`: the first one is told at once.
  Change failed(bool never_heals, TimePoint at);
  // It asked not to be asked before `until` (Retry-After): that holds for all requests.
  void rest_until(TimePoint until) {
    std::int64_t known = rests_until_.load(std::memory_order_relaxed);
    const std::int64_t ticks = until.time_since_epoch().count();
    while (known < ticks && !rests_until_.compare_exchange_weak(known, ticks, std::memory_order_relaxed)) {
    }
  }
  [[nodiscard]] TimePoint rests_until() const {
    return TimePoint(Duration(rests_until_.load(std::memory_order_relaxed)));
  }

  [[nodiscard]] RetryBudget& retry_budget() { return retry_budget_; }
  // Of hedges: Attempts elsewhere, since this one is slow.
  [[nodiscard]] RetryBudget& hedge_budget() { return hedge_budget_; }
  // What it is given at once.
  [[nodiscard]] admit::Gate& gate() { return gate_; }
  // What each slot of a local engine holds; of others it has no slots.
  [[nodiscard]] SlotBook& slots() { return slots_; }
  // Another engine runs in its place, with so many slots that are empty, and room for so many links of what loses its
  // slot: what the one before failed of counts no more.
  void begin_anew(std::size_t slots, std::size_t kept);
  // What is known of one model there.
  struct Figures {
    Breaker breaker;
    Load load;
  };
  static constexpr std::size_t kMostAsked = 64;  // models
  // For the model that a Target names; empty: whatever the client does. Made when it is new, and kept.
  [[nodiscard]] Breaker& breaker(const std::string& model) { return of(model).breaker; }
  [[nodiscard]] Load& load(const std::string& model) { return of(model).load; }
  // For a model that clients name: the last kMostAsked of them. What one fails of says nothing of another.
  std::shared_ptr<Figures> figures_of(const std::string& model);
  // Of those; the others are set one by one.
  void set_breaker(const Breaker::Settings& settings);
  // The mean time to the first token of late, in ms, of the model that was heard last; 0: not known.
  [[nodiscard]] double first_token_ms() const;
  // Load::expected_ms() of that model.
  [[nodiscard]] double expected_ms(TimePoint at) const;
  // The least share of requests that any of them lets through.
  [[nodiscard]] double share() const;

  // It answered a request for a stream with a whole answer: it cannot stream.
  void streams_not(TimePoint at) { whole_until_.store((at + kRemembered).time_since_epoch().count()); }
  [[nodiscard]] bool streams(TimePoint at) const {
    return at.time_since_epoch().count() >= whole_until_.load(std::memory_order_relaxed);
  }

  // What it lists as its models. From any thread.
  void set_models(std::vector<std::string> names) {
    auto models = std::make_shared<const std::set<std::string, std::less<>>>(names.begin(), names.end());
    const MutexLock lock(mutex_);
    listed_ = std::move(models);
  }
  [[nodiscard]] bool lists(std::string_view model) const {
    const MutexLock lock(mutex_);
    return listed_ != nullptr && listed_->contains(model);
  }

  // Of requests that are there or wait for it: of their prompts, and of the answers that they ask for.
  void add_tokens(std::int64_t tokens) { tokens_.fetch_add(tokens, std::memory_order_relaxed); }
  [[nodiscard]] std::int64_t tokens() const { return tokens_.load(std::memory_order_relaxed); }

  // A request went elsewhere, since what would answer it is not loaded: somebody may load it.
  void note_wanted() { wanted_.fetch_add(1, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t wanted() const { return wanted_.load(std::memory_order_relaxed); }

  // What an engine says of its own work. It counts for kReportHolds: then it is old.
  struct Report {
    double running = 0;   // requests
    double waiting = 0;   // requests that it has not begun
    double kv_usage = 0;  // of its room for keys and values, 0 to 1; 0: it does not tell
    TimePoint at{};
  };
  static constexpr seconds kReportHolds{6};
  static constexpr double kCrowded = 0.95;  // of the room for keys and values: from there on a new prompt waits
  void set_report(const Report& report) {
    const MutexLock lock(mutex_);
    report_ = report;
    reports_.store(true, std::memory_order_release);
  }
  // Nothing: it says nothing, or not of late. Cheap for those that never did.
  [[nodiscard]] std::optional<Report> report(TimePoint at) const {
    if (!reports_.load(std::memory_order_acquire)) return std::nullopt;
    const MutexLock lock(mutex_);
    return at - report_.at <= kReportHolds ? std::optional(report_) : std::nullopt;
  }
  // A request would wait there, by its own word.
  [[nodiscard]] bool crowded(TimePoint at) const {
    const std::optional<Report> told = report(at);
    return told && (told->waiting > 0 || told->kv_usage >= kCrowded);
  }
  // By how much a first token takes longer there than it did of late: those that wait, for each that runs.
  [[nodiscard]] double crowding(TimePoint at) const {
    const std::optional<Report> told = report(at);
    return told ? 1 + told->waiting / std::max(told->running, 1.0) + (told->kv_usage >= kCrowded ? 1 : 0) : 1;
  }

  [[nodiscard]] ResumeMemory& resume_memory() { return resume_memory_; }

  // What it failed of last, for people.
  struct Failure {
    std::string cls;  // a word of record::kAttemptClasses
    int status = 0;   // of its answer; 0: there was none
    TimePoint at{};
  };
  void note_failure(Failure failure) {
    const MutexLock lock(mutex_);
    last_failure_ = std::move(failure);
  }
  // Nothing: it never failed.
  [[nodiscard]] std::optional<Failure> last_failure() const {
    const MutexLock lock(mutex_);
    return last_failure_;
  }
  // In a row, until now.
  [[nodiscard]] std::uint32_t failures() const { return failures_.load(std::memory_order_relaxed); }

  // An Attempt was answered.
  Change answered(TimePoint at);

 private:
  struct Asked {
    std::shared_ptr<Figures> figures;
    std::uint64_t turn = 0;  // in which it was asked for last
  };
  Figures& of(const std::string& model);
  template <class F>
  void for_each_model(const F& f) const SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] const Load* heard_last() const SPILLWAY_REQUIRES(mutex_);

  mutable Mutex mutex_;
  Report report_ SPILLWAY_GUARDED_BY(mutex_);
  std::atomic<bool> reports_{false};
  std::atomic<std::uint64_t> wanted_{0};
  std::atomic<std::int64_t> tokens_{0};
  std::optional<Failure> last_failure_ SPILLWAY_GUARDED_BY(mutex_);
  std::shared_ptr<const std::set<std::string, std::less<>>> listed_
      SPILLWAY_GUARDED_BY(mutex_);              // null: it has not told
  std::atomic<std::uint32_t> failures_{0};      // in a row
  std::atomic<std::int64_t> first_failure_{0};  // of these; ticks of Clock
  std::atomic<bool> told_{false};
  std::atomic<std::int64_t> rests_until_{0};  // ticks of Clock
  std::atomic<std::int64_t> whole_until_{0};  // ticks of Clock
  admit::Gate gate_;
  RetryBudget retry_budget_;
  RetryBudget hedge_budget_;
  std::map<std::string, std::unique_ptr<Figures>> models_ SPILLWAY_GUARDED_BY(mutex_);
  std::map<std::string, Asked> asked_ SPILLWAY_GUARDED_BY(mutex_);
  std::uint64_t turn_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  Breaker::Settings breaker_ SPILLWAY_GUARDED_BY(mutex_);
  ResumeMemory resume_memory_;
  SlotBook slots_;
};

// Tokens that count as in flight at a Backend as long as this is there.
class TokensInFlight {
 public:
  TokensInFlight() = default;
  TokensInFlight(Condition& condition, double tokens)
      : condition_(&condition), tokens_(static_cast<std::int64_t>(tokens)) {
    condition.add_tokens(tokens_);
  }
  TokensInFlight(TokensInFlight&& other) noexcept
      : condition_(std::exchange(other.condition_, nullptr)), tokens_(other.tokens_) {}
  TokensInFlight& operator=(TokensInFlight&& other) noexcept {
    std::swap(condition_, other.condition_);
    std::swap(tokens_, other.tokens_);
    return *this;
  }
  ~TokensInFlight() {
    if (condition_ != nullptr) condition_->add_tokens(-tokens_);
  }

 private:
  Condition* condition_ = nullptr;
  std::int64_t tokens_ = 0;
};

// The Conditions of all Backends, by name; they outlive a reload. From any thread.
class Conditions {
 public:
  std::shared_ptr<Condition> of(const std::string& backend);

 private:
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<Condition>> all_ SPILLWAY_GUARDED_BY(mutex_);
};

}  // namespace spillway::backend
