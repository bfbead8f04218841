#include "bench/drill.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace spillway::bench {

namespace {

using nlohmann::json;

std::string dump(const json& value, int indent = -1) {
  return value.dump(indent, ' ', false, json::error_handler_t::replace);
}

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string percent(double share) { return fixed(share * 100, 2) + " %"; }

// How a request that was not answered ended.
std::string failure_of(const Sample& sample) {
  return sample.cls + (sample.status == 0 || sample.status == 200 ? "" : " " + std::to_string(sample.status));
}

double rounded(double value, double unit) { return std::round(value / unit) * unit; }

json to_json_value(const Side& side) {
  return {
      {"requests", side.requests},
      {"answered", side.answered},
      {"success", static_cast<double>(side.answered) / static_cast<double>(std::max<std::uint64_t>(side.requests, 1))},
      {"success_low", side.success.low},
      {"success_high", side.success.high},
      {"first_token_ms", {{"p50", side.p50_ms}, {"p95", side.p95_ms}, {"p99", side.p99_ms}}},
      {"calls", side.calls},
      {"calls_per_request", side.calls_per_request},
      {"cost_usd", side.cost},
      {"failures", side.failures},
      {"answered_by", side.backends},
      {"attempts", side.attempts}};
}

// "503: 1,870, cut: 3", the most frequent first.
std::string list_of(const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> sorted(counts.begin(), counts.end());
  std::ranges::sort(sorted, {}, [](const auto& one) { return std::pair(~one.second, one.first); });
  std::string out;
  for (const auto& [name, count] : sorted) out += (out.empty() ? "" : ", ") + std::to_string(count) + " " + name;
  return out.empty() ? "-" : out;
}

// Characters, where bytes are UTF-8.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(std::string text, std::size_t width) {
  const std::size_t has = width_of(text);
  if (has < width) text.append(width - has, ' ');
  return text;
}

}  // namespace

Side figures_of(const std::vector<Drilled>& requests) {
  Side out;
  std::vector<double> first_tokens;
  for (const Drilled& request : requests) {
    if (!request.counts) continue;
    ++out.requests;
    if (request.sample.answered) {
      ++out.answered;
      first_tokens.push_back(request.sample.first_token_ms);
    } else {
      ++out.failures[failure_of(request.sample)];
    }
    if (request.sample.answered && !request.sample.backend.empty()) ++out.backends[request.sample.backend];
    for (const Tried& tried : request.tried) {
      ++out.attempts[tried.backend + " " + tried.cls];
      out.calls += tried.sent ? 1 : 0;
    }
    out.cost += request.cost;
  }
  out.success = confidence95(out.answered, out.requests);
  out.p50_ms = percentile(first_tokens, 0.5);
  out.p95_ms = percentile(first_tokens, 0.95);
  out.p99_ms = percentile(first_tokens, 0.99);
  out.calls_per_request = out.requests == 0 ? 0 : static_cast<double>(out.calls) / static_cast<double>(out.requests);
  return out;
}

std::string to_json(const Drill& drill) {
  return dump(json{{"simulated", drill.simulated},
                   {"real", drill.real},
                   {"overloaded", drill.overloaded},
                   {"peak", drill.peak},
                   {"requests_per_second", drill.per_second},
                   {"cost_known", drill.cost_known},
                   {"without", to_json_value(figures_of(drill.without))},
                   {"with", to_json_value(figures_of(drill.with))}},
              2) +
         "\n";
}

std::string to_raw(const Drill& drill) {
  std::string out;
  for (const auto* side : {&drill.without, &drill.with}) {
    for (const Drilled& request : *side) {
      const Sample& sample = request.sample;
      json tried = json::array();
      for (const Tried& one : request.tried)
        tried.push_back({{"backend", one.backend}, {"class", one.cls}, {"events", one.events}, {"sent", one.sent}});
      out += dump(json{{"side", side == &drill.with ? "with" : "without"},
                       {"number", sample.number},
                       {"counts", request.counts},
                       {"at_s", rounded(sample.at_s, 1e-4)},
                       {"answered", sample.answered},
                       {"status", sample.status},
                       {"class", sample.cls},
                       {"detail", sample.detail},
                       {"first_token_ms", sample.first_token_ms},
                       {"total_ms", rounded(sample.total_ms, 1e-3)},
                       {"tokens", sample.tokens},
                       {"backend", sample.backend},
                       {"attempts", std::move(tried)},
                       {"cost_usd", request.cost}}) +
             "\n";
    }
  }
  return out;
}

std::string to_text(const Drill& drill) {
  std::string out;
  const auto names = [](const std::vector<std::string>& list) {
    std::string text;
    for (const std::string& name : list) text += (text.empty() ? "" : ", ") + name;
    return text;
  };
  out += "A rehearsal: " + drill.overloaded + " is overloaded (" + drill.peak +
         ").\nSimulated, so that no provider was asked: " + names(drill.simulated) +
         (drill.real.empty() ? "" : "; really asked: " + names(drill.real)) + "\n\n";
  const Side without = figures_of(drill.without);
  const Side with = figures_of(drill.with);
  const auto row = [&](const std::string& name, const std::string& a, const std::string& b) {
    out += padded(name, 22) + padded(a, 34) + b + "\n";
  };
  const auto success = [](const Side& side) {
    const double share =
        static_cast<double>(side.answered) / static_cast<double>(std::max<std::uint64_t>(side.requests, 1));
    return percent(share) + " (" + percent(side.success.low) + " to " + percent(side.success.high) + ")";
  };
  const auto times = [](const Side& side) {
    return fixed(side.p50_ms, 0) + " / " + fixed(side.p95_ms, 0) + " / " + fixed(side.p99_ms, 0) + " ms";
  };
  const auto dollars = [&](const Side& side) {
    return drill.cost_known ? "$" + fixed(side.cost, 4) : "$" + fixed(side.cost, 4) + ", as far as known";
  };
  row("", "without Spillway", "with Spillway");
  row("requests", std::to_string(without.requests), std::to_string(with.requests));
  row("answered (95 %)", success(without), success(with));
  row("failed", std::to_string(without.requests - without.answered), std::to_string(with.requests - with.answered));
  row("first token p50/95/99", times(without), times(with));
  row("calls per request", fixed(without.calls_per_request, 3), fixed(with.calls_per_request, 3));
  row("cost", dollars(without), dollars(with));
  out += "\n";
  out += padded("failures, without", 22) + list_of(without.failures) + "\n";
  out += padded("failures, with", 22) + list_of(with.failures) + "\n";
  out += padded("answered by, with", 22) + list_of(with.backends) + "\n";
  out += padded("Attempts, with", 22) + list_of(with.attempts) + "\n";
  return out;
}

}  // namespace spillway::bench
