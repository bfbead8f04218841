#include "admit/api_key.h"

#include <gtest/gtest.h>

namespace spillway::admit {
namespace {

TEST(ApiKey, without_require_key_everybody_may) {
  EXPECT_FALSE(check_api_key(config::Server{}, http::Headers{}).has_value());
}

TEST(ApiKey, where_one_is_required_and_none_is_known_nobody_may) {
  config::Server server;
  server.require_key = true;
  http::Headers none;
  http::Headers bearer;
  bearer.add("Authorization", "Bearer anything");
  http::Headers header;
  header.add("X-Api-Key", "anything");
  for (const http::Headers* headers : {&none, &bearer, &header}) {
    const auto refusal = check_api_key(server, *headers);
    ASSERT_TRUE(refusal.has_value());
    EXPECT_EQ(refusal->status, 401);
    EXPECT_EQ(refusal->code, "invalid_key");
    EXPECT_EQ(refusal->message.find("anything"), std::string::npos);
  }
}

}  // namespace
}  // namespace spillway::admit
