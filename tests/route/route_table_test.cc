#include "route/route_table.h"

#include <gtest/gtest.h>

namespace spillway::route {
namespace {

class Routes : public ::testing::Test {
 protected:
  Routes() {
    add_backend("cloud", "");
    add_backend("local", "smollm2:135m");
  }
  void add_backend(const std::string& name, const std::string& model) {
    config::Backend settings;
    settings.name = name;
    if (model.empty()) {
      settings.base_url = "http://127.0.0.1:1";
    } else {
      settings.engine = "llama.cpp";
      settings.model = model;
    }
    config_.backends.push_back(settings);
  }
  config::Route& add(const std::string& model, std::vector<config::Target> targets = {{"cloud", "", 1}},
                     const std::string& workload = "") {
    config::Route route;
    route.model = model;
    route.workload = workload;
    route.targets = std::move(targets);
    return config_.routes.emplace_back(route);
  }
  const RouteTable& table() {
    RouteTable::Backends backends;
    for (const config::Backend& settings : config_.backends)
      backends[settings.name] = *backend::Backend::make(settings, metrics_);
    table_ = std::make_unique<RouteTable>(config_, backends, metrics_);
    return *table_;
  }
  // The pattern of the Route that is found, "-" for none.
  std::string found(const std::string& model, const std::string& workload = "") {
    const Route* route = table().match(model, workload);
    return route == nullptr
               ? "-"
               : route->settings.model + (route->settings.workload.empty() ? "" : "#" + route->settings.workload);
  }
  std::vector<std::string> model_names() {
    std::vector<std::string> names;
    for (const auto& model : table().models()) names.push_back(model.name + "@" + model.backend);
    return names;
  }

  config::Config config_;
  record::Metrics all_metrics_;
  record::ThreadMetrics& metrics_ = all_metrics_.add_thread();
  std::unique_ptr<RouteTable> table_;
};

TEST_F(Routes, the_most_specific_goes_first_whatever_the_order_of_the_file) {
  add("*");
  add("gpt-*");
  add("gpt-4*");
  add("gpt-4o");
  add("gpt-4?");
  EXPECT_EQ(found("gpt-4o"), "gpt-4o");
  EXPECT_EQ(found("gpt-4o-mini"), "gpt-4*");
  EXPECT_EQ(found("gpt-3"), "gpt-*");
  EXPECT_EQ(found("claude"), "*");
  EXPECT_EQ(found(""), "*");
}

TEST_F(Routes, an_exact_name_goes_before_a_glob_of_any_length) {
  add("a-very-long-literal-*");
  add("a-very-long-literal-x");
  EXPECT_EQ(found("a-very-long-literal-x"), "a-very-long-literal-x");
  EXPECT_EQ(found("a-very-long-literal-y"), "a-very-long-literal-*");
}

TEST_F(Routes, between_equals_the_order_of_the_file_decides) {
  add("a*c");
  add("ab*");
  EXPECT_EQ(found("abc"), "a*c");
  config_.routes.clear();
  add("ab*");
  add("a*c");
  EXPECT_EQ(found("abc"), "ab*");
}

TEST_F(Routes, no_route_is_none) {
  add("gpt-*");
  EXPECT_EQ(found("claude"), "-");
  EXPECT_EQ(found("GPT-4"), "-");
}

TEST_F(Routes, a_label_is_asked_for_by_name_and_goes_before_none) {
  add("*");
  add("*", {{"local", "", 1}}, "batch");
  EXPECT_EQ(found("m"), "*");
  EXPECT_EQ(found("m", "batch"), "*#batch");
  EXPECT_EQ(found("m", "other"), "*");
}

TEST_F(Routes, a_label_does_not_outdo_a_more_specific_name) {
  add("*", {{"local", "", 1}}, "batch");
  add("m");
  EXPECT_EQ(found("m", "batch"), "m");
  EXPECT_EQ(found("n", "batch"), "*#batch");
  EXPECT_EQ(found("n"), "-");
}

TEST_F(Routes, targets_ask_for_their_own_model_or_for_the_clients) {
  add("*", {{"cloud", "", 1}, {"cloud", "deep\"seek", 1}, {"local", "", 1}});
  const Route& route = *table().match("m", "");
  ASSERT_EQ(route.targets.size(), 3u);
  EXPECT_EQ(route.targets[0].quoted_model, "");
  EXPECT_EQ(route.targets[1].quoted_model, "\"deep\\\"seek\"");
  EXPECT_EQ(route.targets[2].quoted_model, "\"smollm2:135m\"");
}

TEST_F(Routes, time_limits_of_a_route_go_before_those_of_a_backend_and_these_before_the_defaults) {
  config_.defaults.connect = milliseconds(1);
  config_.defaults.first_token = milliseconds(1);
  config_.defaults.idle = milliseconds(1);
  config_.defaults.deadline = milliseconds(1);
  config_.backends[0].timeouts.first_token = milliseconds(2);
  config_.backends[0].timeouts.idle = milliseconds(2);
  config::Route& settings = add("*");
  settings.timeouts.idle = milliseconds(3);
  settings.timeouts.deadline = milliseconds(3);
  const Route& route = *table().match("m", "");
  EXPECT_EQ(route.targets[0].timeouts.connect, milliseconds(1));
  EXPECT_EQ(route.targets[0].timeouts.first_token, milliseconds(2));
  EXPECT_EQ(route.targets[0].timeouts.idle, milliseconds(3));
  EXPECT_EQ(route.deadline, milliseconds(3));
}

TEST_F(Routes, models_are_names_that_clients_can_count_on_each_once) {
  add("*", {{"cloud", "deepseek-flash", 1}, {"local", "", 1}});
  add("fast", {{"local", "", 1}});
  add("gpt-*", {{"cloud", "", 1}});
  EXPECT_EQ(model_names(), (std::vector<std::string>{"fast@local", "smollm2:135m@cloud", "deepseek-flash@cloud"}));
}

TEST_F(Routes, a_targets_name_that_no_route_answers_to_is_not_told) {
  add("fast", {{"cloud", "deepseek-flash", 1}});
  EXPECT_EQ(model_names(), (std::vector<std::string>{"fast@cloud"}));
}

TEST_F(Routes, a_route_that_asks_for_a_label_is_not_promised_to_all) {
  add("labelled", {{"cloud", "", 1}}, "batch");
  EXPECT_EQ(model_names(), std::vector<std::string>{});
}

TEST_F(Routes, a_model_is_told_with_the_backend_that_is_asked_first_for_it) {
  add("*", {{"local", "", 1}, {"cloud", "deepseek-flash", 1}});
  add("deepseek-flash", {{"cloud", "", 1}});
  EXPECT_EQ(model_names(), (std::vector<std::string>{"deepseek-flash@cloud", "smollm2:135m@local"}));
}

TEST_F(Routes, each_has_its_own_series) {
  add("*");
  add("*", {{"cloud", "", 1}}, "batch");
  const RouteTable& routes = table();
  EXPECT_EQ(routes.match("m", "")->series->name, "*");
  EXPECT_EQ(routes.match("m", "batch")->series->name, "*#batch");
}

}  // namespace
}  // namespace spillway::route
