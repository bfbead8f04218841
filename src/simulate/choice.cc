#include "simulate/choice.h"

#include <algorithm>
#include <cmath>

#include "simulate/dice.h"

namespace spillway::simulate {

namespace {

constexpr double kMinutesOfDay = 24 * 60;

Strike strike_of(const std::string& kind, double at) {
  Strike out;
  out.fault = find_fault(kind);
  out.kind = kind;
  out.at = at;
  return out;
}

Strike strike_of(const FaultRule& rule, double at) {
  Strike out = strike_of(rule.kind, rule.at.value_or(at));
  out.retry_after = rule.retry_after;
  out.message = rule.message;
  out.code = rule.code;
  return out;
}

}  // namespace

double Chooser::time_of_day(Duration since_start) const {
  if (profile_.day.length <= milliseconds(0)) return -1;
  const double days = to_ms(since_start) / static_cast<double>(profile_.day.length.count());
  return std::fmod(profile_.day.starts_at + days * kMinutesOfDay, kMinutesOfDay);
}

double Chooser::in_bursts(double probability, bool bursty, std::uint64_t number) const {
  if (!bursty) return probability;
  const bool burst = Dice(profile_.seed ^ ~(number / kBurst)).uniform() < kShareOfBursts;
  const double outside = (1 - kShareOfBursts * kInBurst) / (1 - kShareOfBursts);
  return std::min(1.0, probability * (burst ? kInBurst : outside));
}

Chooser::Choice Chooser::choose(std::uint64_t number, Duration since_start) const {
  Dice dice(profile_.seed + 0x1000'0001u * (number + 1));
  const double struck = dice.uniform();
  const double at = dice.uniform();
  double first_token =
      static_cast<double>(profile_.first_token.count()) * std::exp(profile_.latency_spread * dice.normal());
  Choice out;
  out.strike.at = at;
  const double minute = time_of_day(since_start);
  const Day& day = profile_.day;
  const bool peak = minute >= 0 && minute >= day.peak_from && minute < day.peak_to;
  if (peak) first_token *= day.latency;
  out.timing = {milliseconds(static_cast<std::int64_t>(first_token)), profile_.tokens_per_second};

  if (!profile_.script.empty()) {
    const std::string& word = profile_.script[std::min<std::size_t>(number, profile_.script.size() - 1)];
    if (word == "ok") return out;
    const auto rule = std::ranges::find(profile_.faults, word, &FaultRule::name);
    out.strike = rule != profile_.faults.end() ? strike_of(*rule, at) : strike_of(word, at);
    return out;
  }
  double below = 0;
  if (peak) {
    below += in_bursts(day.error_rate, day.bursty, number);
    if (struck < below) {
      out.strike = strike_of(day.kind, at);
      return out;
    }
  }
  for (const FaultRule& rule : profile_.faults) {
    below += in_bursts(rule.probability, rule.bursty, number);
    if (struck >= below) continue;
    out.strike = strike_of(rule, at);
    return out;
  }
  return out;
}

}  // namespace spillway::simulate
