#include "backend/condition.h"

#include "base/mutex.h"

namespace spillway::backend {

Condition::Change Condition::failed(bool never_heals, TimePoint at) {
  const std::int64_t ticks = at.time_since_epoch().count();
  const std::uint32_t failures = failures_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (failures == 1) first_failure_.store(ticks, std::memory_order_relaxed);
  const Duration lasted(ticks - first_failure_.load(std::memory_order_relaxed));
  const bool due = never_heals || failures >= kInARow || (failures >= 2 && lasted >= kForSoLong);
  if (!due || told_.exchange(true, std::memory_order_relaxed)) return {};
  return {Change::Kind::kFails, failures, std::max(lasted, Duration(0))};
}

Condition::Change Condition::answered(TimePoint at) {
  if (failures_.load(std::memory_order_relaxed) == 0) return {};
  const std::uint32_t failures = failures_.exchange(0, std::memory_order_relaxed);
  if (failures == 0 || !told_.exchange(false, std::memory_order_relaxed)) return {};
  const Duration lasted(at.time_since_epoch().count() - first_failure_.load(std::memory_order_relaxed));
  return {Change::Kind::kAnswersAgain, failures, std::max(lasted, Duration(0))};
}

Condition::Figures& Condition::of(const std::string& model) {
  const MutexLock lock(mutex_);
  std::unique_ptr<Figures>& found = models_[model];
  if (!found) found = std::make_unique<Figures>();
  return *found;
}

std::shared_ptr<Condition::Figures> Condition::figures_of(const std::string& model) {
  const MutexLock lock(mutex_);
  const auto known = asked_.find(model);
  if (known == asked_.end() && asked_.size() == kMostAsked) {
    const auto by_turn = [](const auto& a, const auto& b) { return a.second.turn < b.second.turn; };
    asked_.erase(std::min_element(asked_.begin(), asked_.end(), by_turn));
  }
  Asked& found = asked_[model];
  found.turn = ++turn_;
  if (!found.figures) {
    found.figures = std::make_shared<Figures>();
    found.figures->breaker.set(breaker_);
  }
  return found.figures;
}

void Condition::set_breaker(const Breaker::Settings& settings) {
  const MutexLock lock(mutex_);
  breaker_ = settings;
  for (const auto& [model, one] : asked_) one.figures->breaker.set(settings);
}

template <class F>
void Condition::for_each_model(const F& f) const {
  for (const auto& [model, one] : models_) f(*one);
  for (const auto& [model, one] : asked_) f(*one.figures);
}

void Condition::begin_anew(std::size_t slots, std::size_t kept) {
  slots_.begin_anew(slots, kept);
  const MutexLock lock(mutex_);
  for_each_model([](Figures& one) { one.breaker.begin_anew(); });
}

double Condition::share() const {
  const MutexLock lock(mutex_);
  double least = 1;
  for_each_model([&least](Figures& one) { least = std::min(least, one.breaker.share()); });
  return least;
}

const Load* Condition::heard_last() const {
  const Load* latest = nullptr;
  for_each_model([&latest](Figures& one) {
    if (latest == nullptr || one.load.noted_at() > latest->noted_at()) latest = &one.load;
  });
  return latest;
}

double Condition::first_token_ms() const {
  const MutexLock lock(mutex_);
  const Load* const latest = heard_last();
  return latest == nullptr ? 0 : latest->expected_ms(latest->noted_at());
}

double Condition::expected_ms(TimePoint at) const {
  const MutexLock lock(mutex_);
  const Load* const latest = heard_last();
  return latest == nullptr ? 0 : latest->expected_ms(at);
}

std::shared_ptr<Condition> Conditions::of(const std::string& backend) {
  const MutexLock lock(mutex_);
  std::shared_ptr<Condition>& condition = all_[backend];
  if (!condition) condition = std::make_shared<Condition>();
  return condition;
}

}  // namespace spillway::backend
