#include "admit/origin.h"

#include <gtest/gtest.h>

namespace spillway::admit {
namespace {

const config::Address kLoopback{"127.0.0.1", 8080};
const config::Address kEverywhere{"0.0.0.0", 8080};

bool allowed(const OriginRules& rules, std::string_view origin, std::string_view host = "127.0.0.1:8080") {
  http::Headers headers;
  if (!host.empty()) headers.add("Host", host);
  if (!origin.empty()) headers.add("Origin", origin);
  const auto refusal = rules.check(headers);
  if (refusal) {
    EXPECT_EQ(refusal->status, 403);
    EXPECT_EQ(refusal->code, "foreign_origin");
  }
  return !refusal;
}

TEST(OriginRules, who_tells_no_origin_is_no_page) {
  EXPECT_TRUE(allowed({kLoopback, {}, {}}, ""));
  EXPECT_TRUE(allowed({kEverywhere, {}, {}}, "", "llm.example.com"));
}

TEST(OriginRules, pages_of_this_machine_may_and_what_only_looks_like_it_may_not) {
  const OriginRules rules(kLoopback, {}, {});
  for (const char* const origin : {"http://localhost", "http://LOCALHOST:1", "https://127.0.0.1", "http://127.9.9.9:2",
                                   "http://[::1]:3", "http://a.localhost", "tauri://localhost"}) {
    EXPECT_TRUE(allowed(rules, origin)) << origin;
  }
  for (const char* const origin :
       {"https://evil.example", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "null", "localhost",
        "http://", "http://evil.example#localhost", "http://[::2]", "http://notlocalhost", "http://.localhost"}) {
    EXPECT_FALSE(allowed(rules, origin)) << origin;
  }
}

TEST(OriginRules, a_listener_on_loopback_has_this_machines_names_and_those_of_the_config) {
  const OriginRules rules(kLoopback, {}, {"llm.example.com"});
  for (const char* const host :
       {"localhost", "localhost:1", "LocalHost.", "127.0.0.1", "[::1]", "[::1]:8080", "x.localhost", "gateway",
        "gateway:80", "llm.example.com", "LLM.example.com:8080", ""}) {
    EXPECT_TRUE(allowed(rules, "", host)) << host;
  }
  for (const char* const host :
       {"evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", "[", "x.llm.example.com"})
    EXPECT_FALSE(allowed(rules, "", host)) << host;
}

TEST(OriginRules, elsewhere_any_name_is_fine_and_a_foreign_page_is_not) {
  const OriginRules rules(kEverywhere, {"https://app.example.com"}, {});
  EXPECT_TRUE(allowed(rules, "", "whatever.example"));
  EXPECT_FALSE(allowed(rules, "https://whatever.example", "whatever.example"));
  EXPECT_TRUE(allowed(rules, "https://app.example.com", "whatever.example"));
  EXPECT_FALSE(allowed(rules, "http://app.example.com", "whatever.example"));
}

TEST(OriginRules, a_star_is_all) {
  EXPECT_TRUE(allowed({kLoopback, {"*"}, {}}, "https://evil.example"));
  EXPECT_FALSE(allowed({kLoopback, {"*"}, {}}, "", "evil.example"));
  EXPECT_TRUE(allowed({kLoopback, {}, {"*"}}, "", "evil.example"));
  EXPECT_FALSE(allowed({kLoopback, {}, {"*"}}, "https://evil.example"));
}

}  // namespace
}  // namespace spillway::admit
