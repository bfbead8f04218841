#include "record/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <sstream>
#include <thread>

namespace spillway::record {
namespace {

struct Exposition {
  std::map<std::string, double> samples;  // by name and labels, as they stand in the text
  std::map<std::string, std::string> types;
};

// Text format 0.0.4, strictly: every line is a HELP, a TYPE or a sample of a family that was told.
Exposition parse(const std::string& text) {
  Exposition read;
  std::istringstream lines(text);
  EXPECT_TRUE(text.ends_with('\n'));
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# TYPE ")) {
      const std::size_t space = line.find(' ', 7);
      EXPECT_TRUE(read.types.emplace(line.substr(7, space - 7), line.substr(space + 1)).second) << "twice: " << line;
      continue;
    }
    if (line.starts_with("# HELP ")) continue;
    std::size_t at = line.find_first_of("{ ");
    EXPECT_NE(at, std::string::npos) << line;
    std::string family = line.substr(0, at);
    EXPECT_EQ(family.find_first_not_of("abcdefghijklmnopqrstuvwxyz_"), std::string::npos) << line;
    for (const std::string suffix : {"_bucket", "_sum", "_count"}) {
      if (family.ends_with(suffix) && read.types.contains(family.substr(0, family.size() - suffix.size()))) {
        family.resize(family.size() - suffix.size());
      }
    }
    EXPECT_TRUE(read.types.contains(family)) << line;
    if (line[at] == '{') {
      // name="value", with \\, \" and \n as the only escapes.
      bool quoted = false;
      for (++at; at < line.size() && (quoted || line[at] != '}'); ++at) {
        if (quoted && line[at] == '\\') {
          ++at;
          EXPECT_TRUE(line[at] == '\\' || line[at] == '"' || line[at] == 'n') << line;
        } else if (line[at] == '"') {
          quoted = !quoted;
        }
      }
      EXPECT_LT(at, line.size()) << line;
      ++at;
    }
    std::size_t used = 0;
    const double value = std::stod(line.substr(at + 1), &used);
    EXPECT_EQ(at + 1 + used, line.size()) << line;
    EXPECT_TRUE(read.samples.emplace(line.substr(0, at), value).second) << "twice: " << line;
  }
  return read;
}

TEST(Metrics, without_anything_the_text_is_valid) {
  Metrics metrics;
  EXPECT_EQ(parse(metrics.render({})).samples.at("spillway_refused_requests_total"), 0);
}

TEST(Metrics, counters_of_all_threads_are_added_up) {
  Metrics metrics;
  for (int i = 0; i < 3; ++i) {
    ThreadMetrics& thread = metrics.add_thread();
    thread.backend("b").attempts[0].add(2);
    thread.backend("b").in_flight.add();
    thread.route("r").requests[1].add(5);
    thread.refused_requests.add();
  }
  const Exposition read = parse(metrics.render({}));
  EXPECT_EQ(read.samples.at(R"(spillway_attempts_total{backend="b",class="answered"})"), 6);
  EXPECT_EQ(read.samples.at(R"(spillway_attempts_in_flight{backend="b"})"), 3);
  EXPECT_EQ(read.samples.at(R"(spillway_requests_total{route="r",status="2xx"})"), 15);
  EXPECT_EQ(read.samples.at("spillway_refused_requests_total"), 3);
  const auto totals = metrics.backend_totals();
  ASSERT_EQ(totals.size(), 1u);
  EXPECT_EQ(totals[0].attempts[0], 6u);
  EXPECT_EQ(totals[0].in_flight, 3u);
}

TEST(Metrics, a_series_of_a_name_is_made_once_and_kept) {
  Metrics metrics;
  ThreadMetrics& thread = metrics.add_thread();
  BackendSeries& first = thread.backend("a");
  for (int i = 0; i < 200; ++i) thread.backend("b" + std::to_string(i));
  EXPECT_EQ(&thread.backend("a"), &first);
  EXPECT_EQ(first.name, "a");
}

TEST(Metrics, label_values_are_escaped) {
  Metrics metrics;
  ThreadMetrics& thread = metrics.add_thread();
  thread.backend("a\"b\\c\nd");
  thread.route("x\",le=\"1\"} 7\nfake 1");
  const std::string text = metrics.render({});
  const Exposition read = parse(text);
  EXPECT_TRUE(read.samples.contains(R"(spillway_attempts_in_flight{backend="a\"b\\c\nd"})")) << text;
  EXPECT_FALSE(read.samples.contains("fake"));
}

TEST(Metrics, histogram_buckets_are_cumulative_and_end_with_the_count) {
  Metrics metrics;
  Histogram& histogram = metrics.add_thread().backend("b").first_token;
  histogram.observe(milliseconds(5));  // a bound belongs to its bucket
  histogram.observe(microseconds(5001));
  histogram.observe(milliseconds(700));
  histogram.observe(seconds(1000));
  const Exposition read = parse(metrics.render({}));
  EXPECT_EQ(read.types.at("spillway_first_token_seconds"), "histogram");
  const auto bucket = [&](const std::string& bound) {
    return read.samples.at("spillway_first_token_seconds_bucket{backend=\"b\",le=\"" + bound + "\"}");
  };
  EXPECT_EQ(bucket("0.005"), 1);
  EXPECT_EQ(bucket("0.01"), 2);
  EXPECT_EQ(bucket("0.5"), 2);
  EXPECT_EQ(bucket("1"), 3);
  EXPECT_EQ(bucket("300"), 3);
  EXPECT_EQ(bucket("+Inf"), 4);
  EXPECT_EQ(read.samples.at(R"(spillway_first_token_seconds_count{backend="b"})"), 4);
  EXPECT_NEAR(read.samples.at(R"(spillway_first_token_seconds_sum{backend="b"})"), 1000.710001, 1e-6);
}

TEST(Metrics, gauges_are_told_with_one_head_for_each_name) {
  Metrics metrics;
  const Exposition read = parse(metrics.render({{"spillway_up", "Is it?", R"(backend="a")", 1},
                                                {"spillway_up", "Is it?", R"(backend="b")", 0},
                                                {"spillway_open", "How many?", "", 2.5}}));
  EXPECT_EQ(read.samples.at(R"(spillway_up{backend="a"})"), 1);
  EXPECT_EQ(read.samples.at("spillway_open"), 2.5);
  EXPECT_EQ(read.types.at("spillway_up"), "gauge");
}

TEST(Metrics, values_that_are_no_finite_numbers_are_valid_too) {
  Metrics metrics;
  const Exposition read = parse(metrics.render({{"a", "h", "", std::nan("")},
                                                {"b", "h", "", std::numeric_limits<double>::infinity()},
                                                {"c", "h", "", -std::numeric_limits<double>::infinity()},
                                                {"d", "h", "", 1e300}}));
  EXPECT_TRUE(std::isnan(read.samples.at("a")));
  EXPECT_TRUE(std::isinf(read.samples.at("b")));
  EXPECT_LT(read.samples.at("c"), 0);
  EXPECT_EQ(read.samples.at("d"), 1e300);
}

TEST(Metrics, the_words_of_attempt_classes_are_all_different) {
  EXPECT_EQ(std::set<std::string_view>(kAttemptClasses.begin(), kAttemptClasses.end()).size(), kAttemptClasses.size());
}

TEST(Metrics, reading_while_threads_write_is_safe_and_loses_nothing) {
  Metrics metrics;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    ThreadMetrics& own = metrics.add_thread();
    threads.emplace_back([&own] {
      for (int n = 0; n < 2000; ++n) {
        own.backend("b" + std::to_string(n % 20)).attempts[0].add();
        own.route("r").duration.observe(milliseconds(n));
      }
    });
  }
  for (int n = 0; n < 20; ++n) EXPECT_FALSE(metrics.render({}).empty());
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(parse(metrics.render({})).samples.at(R"(spillway_request_duration_seconds_count{route="r"})"), 6000);
}

}  // namespace
}  // namespace spillway::record
