#include "serve/banner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace spillway::serve {
namespace {

using testing::HasSubstr;

config::Config two_backends() {
  config::Config config;
  config.server.listen = {"127.0.0.1", 8080};
  config.server.admin_listen = {"127.0.0.1", 8081};
  config::Backend cloud;
  cloud.name = "deepseek";
  cloud.base_url = "https://api.deepseek.com/v1";
  config::Backend local;
  local.name = "local";
  local.engine = "llama.cpp";
  local.model = "smollm2:135m";
  local.tier = Tier::kEdge;
  config.backends = {cloud, local};
  config::Route route;
  route.targets = {{"deepseek", "deepseek-flash", 1}, {"local", "", 1}};
  config.routes = {route};
  return config;
}

TEST(Banner, tells_addresses_and_backends_in_order) {
  const std::string text = banner(two_backends());
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:8080/v1\n"));
  EXPECT_THAT(text, HasSubstr("http://127.0.0.1:8081/metrics"));
  EXPECT_LT(text.find("deepseek  cloud"), text.find("local     edge"));
}

TEST(Banner, the_curl_line_asks_for_a_model_that_the_route_knows) {
  EXPECT_THAT(banner(two_backends()), HasSubstr(R"("model":"deepseek-flash","stream":true)"));
  config::Config local_first = two_backends();
  local_first.routes[0].targets.erase(local_first.routes[0].targets.begin());
  EXPECT_THAT(banner(local_first), HasSubstr(R"("model":"smollm2:135m")"));
  config::Config named = two_backends();
  named.routes[0].model = "chat";
  EXPECT_THAT(banner(named), HasSubstr(R"("model":"chat")"));
}

TEST(Banner, a_model_name_cannot_break_out_of_the_shell_line) {
  config::Config config = two_backends();
  config.routes[0].model = "a'; rm -rf /; '";
  EXPECT_THAT(banner(config), HasSubstr(R"("model":"a'\''; rm -rf /; '\''")"));
}

TEST(Banner, an_address_for_all_interfaces_is_shown_as_one_that_can_be_asked) {
  EXPECT_EQ(url_of({"0.0.0.0", 80}), "http://127.0.0.1:80");
  EXPECT_EQ(url_of({"::", 80}), "http://[::1]:80");
  EXPECT_EQ(url_of({"192.0.2.1", 8080}), "http://192.0.2.1:8080");
}

}  // namespace
}  // namespace spillway::serve
