#include "fleet/autoscaler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace spillway::fleet {

namespace {

std::string percent(double share) { return fmt::format("{:.0f} %", share * 100); }

// "5m", "90s", "250ms" as in a Config; with tenths below 10 s.
std::string text_of(Duration duration) {
  const double ms = to_ms(duration);
  if (ms < 1'000) return fmt::format("{:.0f} ms", ms);
  if (ms < 10'000) return fmt::format("{:.1f} s", ms / 1'000);
  if (ms < 120'000) return fmt::format("{:.0f} s", ms / 1'000);
  return fmt::format("{:.0f} min", ms / 60'000);
}

}  // namespace

// Means that forget over a part of the time that a rule is about: a moment of rest does not begin the five minutes
// anew, nor does a request of a moment begin the calm anew.
void Autoscaler::smooth(const ScaleSignals& signals, TimePoint now) {
  constexpr double kLeast = 500;
  constexpr double kMost = 10'000;
  if (!cpu_) {
    cpu_ = signals.cpu;
    inside_ = signals.inside;
  } else {
    const auto mean = [&](double before, double seen, double over_ms) {
      const double keep = std::exp(-to_ms(now - at_) / std::clamp(over_ms, kLeast, kMost));
      return before * keep + seen * (1 - keep);
    };
    cpu_ = mean(*cpu_, signals.cpu, to_ms(settings_.cpu_for) / 10);
    inside_ = mean(inside_, signals.inside, to_ms(settings_.down_after) / 2);
  }
  at_ = now;
}

// Why one more is wanted; empty: it is not.
std::string Autoscaler::vote(const ScaleSignals& signals, TimePoint now) {
  const config::Autoscale& rule = settings_;
  const Duration busy = busy_.note(rule.cpu > 0 && *cpu_ >= rule.cpu, now);
  const Duration gpu_busy = gpu_busy_.note(rule.gpu > 0 && signals.gpu.value_or(0) >= rule.gpu, now);
  const Duration queued =
      queued_.note(rule.queue_wait.count() > 0 && signals.waiting > 0 && signals.wait >= rule.queue_wait, now);
  const Duration slow =
      slow_.note(rule.first_token.count() > 0 && signals.inside > 0 && signals.first_token >= rule.first_token, now);
  const Duration trouble = trouble_.note(rule.provider_health && !signals.troubled.empty(), now);
  if (busy >= rule.cpu_for)
    return fmt::format("CPU at {} for {} (limit {})", percent(*cpu_), text_of(busy), percent(rule.cpu));
  if (gpu_busy >= rule.cpu_for)
    return fmt::format("GPU at {} for {} (limit {})", percent(*signals.gpu), text_of(gpu_busy), percent(rule.gpu));
  if (queued >= rule.wait_for)
    return fmt::format("{} requests wait, the next one for {} (limit {})", signals.waiting, text_of(signals.wait),
                       text_of(rule.queue_wait));
  if (slow >= rule.wait_for)
    return fmt::format("first tokens take {} (target {})", text_of(signals.first_token), text_of(rule.first_token));
  if (trouble >= kTrouble) return "the provider " + signals.troubled + " fails requests";
  return {};
}

bool Autoscaler::could_do_with_less(const ScaleSignals& signals) const {
  const int now_running = signals.always + signals.started;
  if (signals.started == 0 || signals.starting > 0) return false;
  const double left = now_running - 1;
  if (signals.waiting > 0 || !signals.troubled.empty()) return false;
  if (signals.slots > 0 && inside_ > kEasy * left * signals.slots) return false;
  if (settings_.cpu > 0 && *cpu_ * now_running / left > kEasy * settings_.cpu) return false;
  if (settings_.gpu > 0 && signals.gpu && *signals.gpu > kEasy * settings_.gpu) return false;
  return settings_.first_token.count() == 0 || signals.inside == 0 || signals.first_token < settings_.first_token;
}

Autoscaler::Decision Autoscaler::decide(const ScaleSignals& signals, TimePoint now) {
  smooth(signals, now);
  Decision out;
  const std::string wanted = vote(signals, now);
  const Duration calm = calm_.note(could_do_with_less(signals), now);
  if (!wanted.empty() && signals.started < signals.spare) {
    if (signals.starting > 0) {
      out.held = "one is being started";
    } else if (!signals.room) {
      out.held = "there is no memory for one more (" + wanted + ")";
    } else {
      out = {+1, wanted, {}};
    }
  } else if (!wanted.empty()) {
    out.held = "all standby Replicas run (" + wanted + ")";
  } else if (calm >= settings_.down_after) {
    out = {-1,
           fmt::format("calm for {}: CPU at {}, {:.1f} of {} slots in use", text_of(calm), percent(*cpu_), inside_,
                       (signals.always + signals.started) * signals.slots),
           {}};
  }
  if (out.change != 0) {
    // What follows is judged by how it is then.
    for (Held* each : {&busy_, &gpu_busy_, &queued_, &slow_, &calm_}) each->forget();
  }
  return out;
}

}  // namespace spillway::fleet
