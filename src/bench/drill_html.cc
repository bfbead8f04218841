#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/drill.h"

// The library, as it is, in the program's constant data.
// clang-format off
asm(".section .rodata\n"
    ".global kSpillwayChartJs\n"
    ".global kSpillwayChartJsEnd\n"
    "kSpillwayChartJs:\n"
    ".incbin \"" SPILLWAY_CHART_JS "\"\n"
    "kSpillwayChartJsEnd:\n"
    ".byte 0\n"
    ".previous\n");
// clang-format on
extern "C" {
extern const char kSpillwayChartJs[];
extern const char kSpillwayChartJsEnd[];
}

namespace spillway::bench {

namespace {

using nlohmann::json;

constexpr int kSlices = 60;  // of the time that a chart shows
constexpr int kCurve = 200;  // points of a distribution

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '&': out += "&amp;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

// Answered and failed requests, and who answered, over time.
json over_time(const std::vector<Drilled>& side) {
  double end = 1;
  for (const Drilled& request : side) end = std::max(end, request.sample.at_s);
  const double width = end / kSlices;
  json out{{"seconds", json::array()}, {"answered", json::array()}, {"failed", json::array()}, {"p95", json::array()}};
  std::vector<std::vector<double>> times(kSlices);
  std::vector<std::uint64_t> answered(kSlices);
  std::vector<std::uint64_t> failed(kSlices);
  for (const Drilled& request : side) {
    const auto slice =
        static_cast<std::size_t>(std::min<double>(kSlices - 1, std::max(0.0, std::floor(request.sample.at_s / width))));
    ++(request.sample.answered ? answered : failed)[slice];
    if (request.sample.answered) times[slice].push_back(request.sample.first_token_ms);
  }
  for (std::size_t i = 0; i < kSlices; ++i) {
    out["seconds"].push_back(std::round(width * static_cast<double>(i) * 10) / 10);
    out["answered"].push_back(answered[i]);
    out["failed"].push_back(failed[i]);
    out["p95"].push_back(times[i].empty() ? json(nullptr) : json(std::round(percentile(times[i], 0.95))));
  }
  return out;
}

// The time that each share of the requests kept; those that failed never did.
json distribution(const std::vector<Drilled>& side) {
  std::vector<double> times;
  std::size_t count = 0;
  for (const Drilled& request : side) {
    if (!request.counts) continue;
    ++count;
    if (request.sample.answered) times.push_back(request.sample.first_token_ms);
  }
  std::sort(times.begin(), times.end());
  json out = json::array();
  for (int i = 1; i <= kCurve && !times.empty(); ++i) {
    const auto at = std::min(times.size() - 1, times.size() * static_cast<std::size_t>(i) / kCurve);
    out.push_back({{"x", std::round(times[at])},
                   {"y", 100.0 * static_cast<double>(at + 1) / static_cast<double>(std::max<std::size_t>(count, 1))}});
  }
  return out;
}

constexpr std::string_view kStyle = R"(
body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1c2530}
h1{font-size:1.5rem;margin-bottom:.2rem}.simulated{background:#fff4d6;border:1px solid #e3c46b;padding:.5rem .8rem;border-radius:6px}
pre{background:#f5f7f9;padding:1rem;overflow:auto;border-radius:6px}
.charts{display:grid;grid-template-columns:1fr 1fr;gap:1.5rem}.charts div{min-width:0}@media(max-width:45rem){.charts{grid-template-columns:1fr}}
)";

constexpr std::string_view kScript = R"(
const red='#c0392b',green='#27865b',blue='#2a6fb0';
const counts=(id,s,title)=>new Chart(id,{type:'bar',data:{labels:s.seconds,datasets:[{label:'answered',data:s.answered,backgroundColor:green},{label:'failed',data:s.failed,backgroundColor:red}]},
options:{animation:false,plugins:{title:{display:true,text:title}},scales:{x:{stacked:true,title:{display:true,text:'seconds'}},y:{stacked:true,title:{display:true,text:'requests'}}}}});
counts('a',drill.without,'Without Spillway');counts('b',drill.with,'With Spillway');
new Chart('c',{type:'line',data:{labels:drill.with.seconds,datasets:[{label:'without',data:drill.without.p95,borderColor:red,pointRadius:0},{label:'with',data:drill.with.p95,borderColor:green,pointRadius:0}]},
options:{animation:false,plugins:{title:{display:true,text:'First token, 95th percentile (ms)'}},scales:{x:{title:{display:true,text:'seconds'}},y:{beginAtZero:true}}}});
new Chart('d',{type:'scatter',data:{datasets:[{label:'without',data:drill.curves.without,showLine:true,borderColor:red,pointRadius:0},{label:'with',data:drill.curves.with,showLine:true,borderColor:green,pointRadius:0}]},
options:{animation:false,plugins:{title:{display:true,text:'Requests that had a first token by then (%)'}},scales:{x:{title:{display:true,text:'ms'},beginAtZero:true},y:{min:0,max:100}}}});
)";

}  // namespace

std::string to_html(const Drill& drill) {
  const json charts{{"without", over_time(drill.without)},
                    {"with", over_time(drill.with)},
                    {"curves", {{"without", distribution(drill.without)}, {"with", distribution(drill.with)}}}};
  std::string simulated;
  for (const std::string& name : drill.simulated) simulated += (simulated.empty() ? "" : ", ") + name;
  std::string out =
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Spillway drill</title><style>";
  out.append(kStyle);
  out += "</style></head><body>\n<h1>Drill: " + escaped(drill.overloaded) + " is overloaded</h1>\n<p>" +
         escaped(drill.peak) + "</p>\n<p class=\"simulated\"><b>Simulated:</b> no provider was asked in place of " +
         escaped(simulated) + ".</p>\n<pre>" + escaped(to_text(drill)) + "</pre>\n<div class=\"charts\">";
  for (const char* id : {"a", "b", "c", "d"}) out += std::string("<div><canvas id=\"") + id + "\"></canvas></div>";
  out += "</div>\n<script>";
  out.append(kSpillwayChartJs, kSpillwayChartJsEnd);
  out += "</script>\n<script>const drill=" + charts.dump() + ";";
  out.append(kScript);
  return out + "</script>\n</body></html>\n";
}

}  // namespace spillway::bench
