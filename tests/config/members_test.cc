#include "config/members.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace spillway::config {
namespace {

Backend local(const std::string& name, std::vector<std::string> models) {
  Backend out;
  out.name = name;
  out.engine = "llama.cpp";
  out.model = models.front();
  if (models.size() > 1) out.models = std::move(models);
  return out;
}

Route route_of(const std::string& model, std::vector<Target> targets) {
  Route out;
  out.model = model;
  out.targets = std::move(targets);
  return out;
}

Target at(const std::string& backend, const std::string& model = {}) {
  Target out;
  out.backend = backend;
  out.model = model;
  return out;
}

// "one:1 -> local/one:1 cloud"
std::vector<std::string> routes_of(const Config& config) {
  std::vector<std::string> out;
  for (const Route& route : config.routes) {
    std::string line = route.model + " ->";
    for (const Target& target : route.targets)
      line += " " + target.backend + (target.model.empty() ? "" : "(" + target.model + ")");
    out.push_back(line);
  }
  std::ranges::sort(out);
  return out;
}

using Lines = std::vector<std::string>;

TEST(Members, of_a_config_without_any_are_the_config) {
  Config config;
  config.backends = {local("a", {"m"})};
  config.routes = {route_of("*", {at("a")})};
  EXPECT_EQ(with_members(config), config);
}

TEST(Members, are_backends_of_their_own_that_know_their_pool) {
  Config config;
  config.backends = {local("a", {"one:1", "two:1"})};
  const Config made = with_members(config);
  ASSERT_EQ(made.backends.size(), 2u);
  EXPECT_EQ(made.backends[1].name, "a/two:1");
  EXPECT_EQ(made.backends[1].model, "two:1");
  EXPECT_EQ(made.backends[1].member_of, "a");
  EXPECT_EQ(made.backends[1].public_name(), "a");
  EXPECT_TRUE(made.backends[1].models.empty());
  EXPECT_EQ(with_members(made), made);
}

TEST(Members, are_asked_by_the_name_that_a_request_has_else_the_first) {
  Config config;
  config.backends = {local("a", {"one:1", "two:1"}), local("b", {"two:1", "three:1"})};
  config.routes = {route_of("*", {at("a"), at("cloud", "m"), at("b")})};
  EXPECT_EQ(routes_of(with_members(config)),
            (Lines{"* -> a/one:1 cloud(m) b/two:1", "one:1 -> a/one:1 cloud(m) b/two:1",
                   "three:1 -> a/one:1 cloud(m) b/three:1", "two:1 -> a/two:1 cloud(m) b/two:1"}));
}

TEST(Members, that_a_target_names_are_asked_whatever_the_request_says) {
  Config config;
  config.backends = {local("a", {"one:1", "two:1"})};
  config.routes = {route_of("chat", {at("a", "two:1")})};
  EXPECT_EQ(routes_of(with_members(config)), (Lines{"chat -> a/two:1"}));
}

TEST(Members, leave_routes_alone_that_somebody_wrote) {
  Config config;
  config.backends = {local("a", {"one:1", "two:1"})};
  config.routes = {route_of("*", {at("a")}), route_of("two*", {at("cloud")}), route_of("one:1", {at("cloud")})};
  EXPECT_EQ(routes_of(with_members(config)), (Lines{"* -> a/one:1", "one:1 -> cloud", "two* -> cloud"}));
}

TEST(Members, replicas_are_targets_side_by_side) {
  Config config;
  Backend twice = local("a", {"m"});
  twice.replicas = 2;
  twice.max_concurrency = 5;
  config.backends = {twice};
  Target weighted = at("a");
  weighted.weight = 3;
  config.routes = {route_of("*", {at("cloud"), weighted, at("b")})};
  const Config made = with_members(config);
  EXPECT_EQ(routes_of(made), (Lines{"* -> cloud a/1 a/2 b"}));
  EXPECT_EQ(made.routes[0].targets[1].weight, 1.5);
  ASSERT_EQ(made.backends.size(), 2u);
  EXPECT_EQ(made.backends[1].name, "a/2");
  EXPECT_EQ(made.backends[1].replica, 2);
  EXPECT_EQ(made.backends[1].replicas, 1);
  EXPECT_EQ(made.backends[1].max_concurrency, 3);
  EXPECT_EQ(made.backends[1].public_name(), "a");
  EXPECT_FALSE(made.backends[1].on_demand());
  EXPECT_EQ(with_members(made), made);
}

TEST(Members, standbys_are_replicas_that_do_not_always_run) {
  Config config;
  config.backends = {local("a", {"m"})};
  config.backends[0].standby = 2;
  config.routes = {route_of("*", {at(config.backends[0].name)})};
  const Config made = with_members(config);
  EXPECT_EQ(made.routes[0].targets.size(), 3u);
  EXPECT_FALSE(made.backends[0].on_demand());
  EXPECT_TRUE(made.backends[1].spare && made.backends[2].spare && made.backends[2].on_demand());
  EXPECT_FALSE(made.backends[2].takes_turns());
  config.autoscale.on = false;
  EXPECT_EQ(routes_of(with_members(config)), (Lines{"* -> " + config.backends[0].name}));
}

}  // namespace
}  // namespace spillway::config
