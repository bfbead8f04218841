#include "admin/status.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway::admin {
namespace {

using testing::HasSubstr;
using testing::Not;

Status healthy() {
  Status status;
  status.version = "0.1.0";
  status.pid = 42;
  status.uptime_s = 90;
  status.url = "http://127.0.0.1:8080";
  status.threads = 2;
  status.backends.push_back({"deepseek",
                             "cloud",
                             "https://api.deepseek.com/v1",
                             "",
                             "ready",
                             "",
                             0,
                             0,
                             3,
                             {{"answered", 7}, {"overload", 2}}});
  status.backends.push_back({"local", "edge", "", "smollm2:135m", "starting", "", 77, 1, 0, {}});
  status.routes.push_back({"*", "", {"deepseek", "local"}, true});
  return status;
}

std::vector<std::string> problems(const Status& status) {
  return nlohmann::json::parse(health_json(status)).at("problems").get<std::vector<std::string>>();
}

TEST(Status, reads_back_alike) {
  Status status = healthy();
  status.refused_config = "a.toml:1:2: error: no";
  status.needs_restart = {"server.listen"};
  const auto back = from_json(to_json(status));
  ASSERT_TRUE(back.ok());
  EXPECT_EQ(to_json(*back), to_json(status));
}

TEST(Status, stays_json_with_bytes_that_are_no_utf8) {
  Status status = healthy();
  status.backends[0].detail = "\xff\xfe\"\n";
  EXPECT_NO_THROW(static_cast<void>(nlohmann::json::parse(to_json(status))));
  EXPECT_NO_THROW(static_cast<void>(nlohmann::json::parse(health_json(status))));
}

TEST(Status, what_is_no_status_is_an_error) {
  for (const char* text : {"", "{", "[]", "{}", R"({"version":1})", "<html>"}) {
    const auto parsed = from_json(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_EQ(parsed.error().code, ErrorCode::kCorrupt);
  }
}

TEST(Status, the_text_names_backends_states_and_failures) {
  const std::string text = to_text(healthy());
  EXPECT_THAT(text, HasSubstr("deepseek"));
  EXPECT_THAT(text, HasSubstr("starting"));
  EXPECT_THAT(text, HasSubstr("smollm2:135m"));
  EXPECT_THAT(text, HasSubstr("2 overload"));
  EXPECT_THAT(text, HasSubstr("route *: deepseek -> local\n"));
  EXPECT_THAT(text, HasSubstr("the embedded default"));
  EXPECT_THAT(text, Not(HasSubstr("problem")));
}

TEST(Status, the_text_tells_what_a_backend_failed_of_last) {
  Status status = healthy();
  status.backends[0].last_failure = "overload 503";
  status.backends[0].last_failure_s_ago = 61;
  EXPECT_THAT(to_text(status), HasSubstr("2 overload; last: overload 503, 61 s ago"));
}

TEST(Health, what_is_mended_is_no_problem_any_more) {
  Status status = healthy();
  status.backends[0].last_failure = "quota 402";
  EXPECT_TRUE(problems(status).empty());
  status.backends[0].failures_in_a_row = 1;
  EXPECT_THAT(problems(status), testing::ElementsAre(HasSubstr("no money or no quota")));
}

TEST(Health, is_ok_while_nothing_is_wrong) {
  EXPECT_EQ(nlohmann::json::parse(health_json(healthy())).at("status"), "ok");
}

TEST(Health, tells_each_problem) {
  Status status = healthy();
  status.refused_config = "spillway.toml:3:1: error: unknown key";
  status.needs_restart = {"server.threads"};
  status.backends[0].attempts.push_back({"config", 4});
  status.backends[0].failures_in_a_row = 4;
  status.backends[0].last_failure = "config 401";
  status.backends[1].state = "failing";
  status.backends[1].detail = "exited with code 1";
  status.routes[0].ready = false;
  status.access_log_dropped_bytes = 512;
  EXPECT_EQ(nlohmann::json::parse(health_json(status)).at("status"), "degraded");
  EXPECT_THAT(problems(status), testing::UnorderedElementsAre(
                                    HasSubstr("unknown key"), HasSubstr("server.threads"), HasSubstr("(config 401)"),
                                    HasSubstr("exited with code 1"), HasSubstr("route *"), HasSubstr("512 bytes")));
}

}  // namespace
}  // namespace spillway::admin
