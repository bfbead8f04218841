#include "admin/top.h"

#include <algorithm>
#include <cstdio>

namespace spillway::admin {

namespace {

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string right(const std::string& text, std::size_t width) {
  return std::string(width > text.size() ? width - text.size() : 0, ' ') + text;
}

struct Counts {
  double answered = 0;
  double failed = 0;
};
Counts counts_of(const BackendStatus& backend) {
  Counts out;
  for (const AttemptCount& entry : backend.attempts) {
    if (entry.cls == "outrun" || entry.cls == "abandoned" || entry.cls == "shed" || entry.cls == "unsupported")
      continue;
    (entry.cls == "answered" ? out.answered : out.failed) += static_cast<double>(entry.count);
  }
  return out;
}

std::uint64_t shed(const BackendStatus& backend) {
  for (const AttemptCount& entry : backend.attempts) {
    if (entry.cls == "shed") return entry.count;
  }
  return 0;
}

// Health in one word: a Backend's own state, or what its Breaker makes of it.
std::string health(const BackendStatus& backend) {
  if (backend.state != "ready") return backend.state;
  if (backend.share < 1) return "spared " + fixed(backend.share * 100, 0) + "%";
  return backend.failures_in_a_row > 0 ? "failing" : "ready";
}

std::string coloured(const std::string& text, const BackendStatus& backend) {
  const bool good = backend.state == "ready" && backend.share >= 1 && backend.failures_in_a_row == 0;
  const bool bad = backend.state == "failing" || backend.state == "stopped";
  return std::string("\x1b[") + (good ? "32" : bad ? "31" : "33") + "m" + text + "\x1b[0m";
}

std::string cut(const std::string& line, int width) {
  if (width <= 0 || line.size() <= static_cast<std::size_t>(width)) return line;
  return line.substr(0, static_cast<std::size_t>(width));
}

}  // namespace

std::vector<Rates> rates_between(const Status& previous, const Status& current) {
  const double seconds = current.uptime_s - previous.uptime_s;
  std::vector<Rates> out;
  for (const BackendStatus& backend : current.backends) {
    Rates rates;
    const auto before = std::ranges::find(previous.backends, backend.name, &BackendStatus::name);
    if (before != previous.backends.end() && seconds > 0) {
      const Counts was = counts_of(*before);
      const Counts is = counts_of(backend);
      rates.answered_per_s = std::max(0.0, (is.answered - was.answered) / seconds);
      rates.failed_per_s = std::max(0.0, (is.failed - was.failed) / seconds);
    }
    out.push_back(rates);
  }
  return out;
}

std::string to_top(const Status& previous, const Status& current, const TopStyle& style) {
  const std::vector<Rates> rates = rates_between(previous, current);
  Rates sum;
  std::uint64_t waiting = 0;
  std::size_t names = 9;
  for (std::size_t i = 0; i < rates.size(); ++i) {
    sum.answered_per_s += rates[i].answered_per_s;
    sum.failed_per_s += rates[i].failed_per_s;
    waiting += current.backends[i].waiting;
    names = std::max(names, current.backends[i].name.size() + 2);
  }
  std::string out = cut("spillway " + current.version + "   up " + fixed(current.uptime_s, 0) + " s   " +
                            fixed(sum.answered_per_s, 1) + " answered/s   " + fixed(sum.failed_per_s, 1) +
                            " failed Attempts/s   " + std::to_string(current.connections) + " connections   " +
                            std::to_string(waiting) + " waiting" + (current.draining ? "   draining" : ""),
                        style.width) +
                    "\n\n";
  out += cut(padded("BACKEND", names) + padded("HEALTH", 13) + right("1ST TOKEN", 10) + right("ANSWERED/S", 12) +
                 right("FAILED/S", 10) + right("ACTIVE", 8) + right("LIMIT", 7) + right("QUEUE", 7) + right("WAIT", 9) +
                 right("SHED", 8) + right("HEDGES", 8) + right("RESUMES", 9) + "  LAST FAILURE",
             style.width) +
         "\n";
  for (std::size_t i = 0; i < rates.size(); ++i) {
    const BackendStatus& backend = current.backends[i];
    const std::string name = padded(backend.name, names);
    const std::string state = padded(health(backend), 13);
    std::string rest = right(backend.first_token_ms > 0 ? fixed(backend.first_token_ms, 0) + " ms" : "-", 10) +
                       right(fixed(rates[i].answered_per_s, 1), 12) + right(fixed(rates[i].failed_per_s, 1), 10) +
                       right(std::to_string(backend.in_flight), 8) +
                       right(backend.limit > 0 ? std::to_string(backend.limit) : "-", 7) +
                       right(std::to_string(backend.waiting), 7) +
                       right(backend.waiting > 0 ? fixed(backend.wait_ms, 0) + " ms" : "-", 9) +
                       right(std::to_string(shed(backend)), 8) + right(std::to_string(backend.hedges), 8) +
                       right(std::to_string(backend.resumes), 9);
    if (!backend.last_failure.empty())
      rest += "  " + backend.last_failure + ", " + fixed(backend.last_failure_s_ago, 0) + " s ago";
    const int left = style.width > 0 ? std::max(1, style.width - static_cast<int>(names + state.size())) : 0;
    out += name + (style.colour ? coloured(state, backend) : state) + cut(rest, left) + "\n";
  }
  if (!current.autoscale.empty()) out += "\n";
  for (const BackendStatus& backend : current.backends) {
    if (backend.governed) out += cut("governor " + governor_text(backend), style.width) + "\n";
  }
  for (const ScaleStatus& scale : current.autoscale) out += cut("autoscale " + to_text(scale), style.width) + "\n";
  return out;
}

}  // namespace spillway::admin
