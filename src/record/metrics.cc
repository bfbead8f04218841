#include "record/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json_text.h"
#include "base/mutex.h"

namespace spillway::record {

namespace {

void append_value(std::string& out, double value) {
  if (std::isfinite(value)) {
    json::append_number(out, value, 6);
  } else {
    out += std::isnan(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
  }
  out += '\n';
}

// Label values are escaped as Prometheus wants: backslash, quote, newline.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

void head(std::string& out, std::string_view name, std::string_view type, std::string_view help) {
  out.append("# HELP ").append(name).append(" ").append(help).append("\n");
  out.append("# TYPE ").append(name).append(" ").append(type).append("\n");
}

void line(std::string& out, std::string_view name, std::string_view labels, double value) {
  out.append(name);
  if (!labels.empty()) out.append("{").append(labels).append("}");
  out += ' ';
  append_value(out, value);
}

struct HistogramSum {
  std::array<std::uint64_t, Histogram::kBuckets> buckets{};
  double seconds = 0;

  void add(const Histogram& histogram) {
    for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += histogram.count_in(i);
    seconds += histogram.sum_seconds();
  }

  void render(std::string& out, const std::string& name, const std::string& labels) const {
    std::uint64_t running = 0;
    for (std::size_t i = 0; i < buckets.size(); ++i) {
      running += buckets[i];
      std::string bound;
      if (i < kLatencyBounds.size()) {
        json::append_number(bound, kLatencyBounds[i], 3);
      } else {
        bound = "+Inf";
      }
      line(out, name + "_bucket", labels + ",le=\"" + bound + "\"", static_cast<double>(running));
    }
    line(out, name + "_sum", labels, seconds);
    line(out, name + "_count", labels, static_cast<double>(running));
  }
};

}  // namespace

void Histogram::observe(Duration duration) {
  const double seconds = std::chrono::duration<double>(duration).count();
  const auto bucket = std::lower_bound(kLatencyBounds.begin(), kLatencyBounds.end(), seconds) - kLatencyBounds.begin();
  buckets_[static_cast<std::size_t>(bucket)].add();
  micros_.add(static_cast<std::uint64_t>(std::chrono::duration_cast<microseconds>(duration).count()));
}

BackendSeries& ThreadMetrics::backend(std::string_view name) {
  const MutexLock lock(mutex_);
  for (BackendSeries& series : backends_) {
    if (series.name == name) return series;
  }
  return backends_.emplace_back(std::string(name));
}

RouteSeries& ThreadMetrics::route(std::string_view name) {
  const MutexLock lock(mutex_);
  for (RouteSeries& series : routes_) {
    if (series.name == name) return series;
  }
  return routes_.emplace_back(std::string(name));
}

ThreadMetrics& Metrics::add_thread() {
  const MutexLock lock(mutex_);
  return *threads_.emplace_back(std::make_unique<ThreadMetrics>());
}

std::vector<Metrics::BackendTotals> Metrics::backend_totals() {
  std::map<std::string, BackendTotals> sums;
  const MutexLock lock(mutex_);
  for (const auto& thread : threads_) {
    const MutexLock thread_lock(thread->mutex_);
    for (const BackendSeries& series : thread->backends_) {
      BackendTotals& sum = sums[series.name];
      sum.name = series.name;
      sum.in_flight += series.in_flight.value();
      sum.hedges += series.hedges.value();
      sum.resumes += series.resumes.value();
      for (std::size_t i = 0; i < series.attempts.size(); ++i) sum.attempts[i] += series.attempts[i].value();
    }
  }
  std::vector<BackendTotals> out;
  out.reserve(sums.size());
  for (auto& [name, sum] : sums) out.push_back(std::move(sum));
  return out;
}

std::string Metrics::render(const std::vector<Gauge>& gauges) {
  struct Backend {
    std::array<std::uint64_t, kAttemptClasses.size()> attempts{};
    std::uint64_t in_flight = 0, bytes = 0, events = 0, resumes = 0, hedges = 0;
    HistogramSum first_token;
  };
  struct Route {
    std::array<std::uint64_t, 5> requests{};
    std::uint64_t broken = 0;
    HistogramSum duration;
  };
  std::map<std::string, Backend> backends;
  std::map<std::string, Route> routes;
  std::uint64_t refused = 0;
  std::uint64_t gone = 0;
  {
    const MutexLock lock(mutex_);
    for (const auto& thread : threads_) {
      const MutexLock thread_lock(thread->mutex_);
      refused += thread->refused_requests.value();
      gone += thread->clients_gone.value();
      for (const BackendSeries& series : thread->backends_) {
        Backend& sum = backends[series.name];
        for (std::size_t i = 0; i < series.attempts.size(); ++i) sum.attempts[i] += series.attempts[i].value();
        sum.in_flight += series.in_flight.value();
        sum.bytes += series.bytes.value();
        sum.events += series.events.value();
        sum.resumes += series.resumes.value();
        sum.hedges += series.hedges.value();
        sum.first_token.add(series.first_token);
      }
      for (const RouteSeries& series : thread->routes_) {
        Route& sum = routes[series.name];
        for (std::size_t i = 0; i < series.requests.size(); ++i) sum.requests[i] += series.requests[i].value();
        sum.broken += series.broken_streams.value();
        sum.duration.add(series.duration);
      }
    }
  }

  std::string out;
  head(out, "spillway_requests_total", "counter", "Exchanges that ended, by Route and class of status.");
  for (const auto& [name, route] : routes) {
    for (std::size_t i = 0; i < route.requests.size(); ++i) {
      if (route.requests[i] == 0 && i != 1) continue;
      line(out, "spillway_requests_total", "route=\"" + escaped(name) + "\",status=\"" + std::to_string(i + 1) + "xx\"",
           static_cast<double>(route.requests[i]));
    }
  }
  head(out, "spillway_broken_streams_total", "counter",
       "Streams that ended in an error after their first token, by Route.");
  for (const auto& [name, route] : routes) {
    line(out, "spillway_broken_streams_total", "route=\"" + escaped(name) + "\"", static_cast<double>(route.broken));
  }
  head(out, "spillway_request_duration_seconds", "histogram", "From a whole request to the end of its answer.");
  for (const auto& [name, route] : routes) {
    route.duration.render(out, "spillway_request_duration_seconds", "route=\"" + escaped(name) + "\"");
  }
  head(out, "spillway_attempts_total", "counter", "Attempts that ended, by Backend and how they ended.");
  for (const auto& [name, backend] : backends) {
    for (std::size_t i = 0; i < backend.attempts.size(); ++i) {
      if (backend.attempts[i] == 0 && i != 0) continue;
      line(out, "spillway_attempts_total",
           "backend=\"" + escaped(name) + "\",class=\"" + std::string(kAttemptClasses[i]) + "\"",
           static_cast<double>(backend.attempts[i]));
    }
  }
  head(out, "spillway_attempts_in_flight", "gauge", "Attempts under way, by Backend.");
  for (const auto& [name, backend] : backends) {
    line(out, "spillway_attempts_in_flight", "backend=\"" + escaped(name) + "\"",
         static_cast<double>(backend.in_flight));
  }
  head(out, "spillway_relayed_bytes_total", "counter", "Bytes of answers handed to clients, by Backend.");
  for (const auto& [name, backend] : backends) {
    line(out, "spillway_relayed_bytes_total", "backend=\"" + escaped(name) + "\"", static_cast<double>(backend.bytes));
  }
  head(out, "spillway_relayed_events_total", "counter", "Events of streams handed to clients, by Backend.");
  for (const auto& [name, backend] : backends) {
    line(out, "spillway_relayed_events_total", "backend=\"" + escaped(name) + "\"",
         static_cast<double>(backend.events));
  }
  head(out, "spillway_resumes_total", "counter",
       "Answers that broke at another Backend and went on at this one, by Backend.");
  for (const auto& [name, backend] : backends) {
    line(out, "spillway_resumes_total", "backend=\"" + escaped(name) + "\"", static_cast<double>(backend.resumes));
  }
  head(out, "spillway_hedges_total", "counter",
       "Attempts at this Backend beside one at another that was slow, by Backend.");
  for (const auto& [name, backend] : backends) {
    line(out, "spillway_hedges_total", "backend=\"" + escaped(name) + "\"", static_cast<double>(backend.hedges));
  }
  head(out, "spillway_first_token_seconds", "histogram",
       "From the sending of an Attempt to its first token, or whole answer where it is not streamed.");
  for (const auto& [name, backend] : backends) {
    backend.first_token.render(out, "spillway_first_token_seconds", "backend=\"" + escaped(name) + "\"");
  }
  head(out, "spillway_refused_requests_total", "counter", "Requests refused before a Route was looked for.");
  line(out, "spillway_refused_requests_total", "", static_cast<double>(refused));
  head(out, "spillway_clients_gone_total", "counter", "Clients that left before their answer had ended.");
  line(out, "spillway_clients_gone_total", "", static_cast<double>(gone));
  std::string previous;
  for (const Gauge& gauge : gauges) {
    if (gauge.name != previous) head(out, gauge.name, "gauge", gauge.help);
    previous = gauge.name;
    line(out, gauge.name, gauge.labels, gauge.value);
  }
  return out;
}

}  // namespace spillway::record
