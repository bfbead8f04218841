#include "admin/status.h"

#include <gtest/gtest.h>

#include <string>

namespace spillway::admin {
namespace {

TEST(Status, of_another_version_is_read_as_far_as_it_is_known) {
  const auto later = from_json(
      R"({"version":"9.0.0","pid":7,"made_up":{"a":[1]},"backends":[{"name":"a","made_up":1,"attempts":[{"class":"answered"},{}]},{}],"routes":[{}]})");
  ASSERT_TRUE(later.ok()) << later.error().message;
  EXPECT_EQ(later->version, "9.0.0");
  EXPECT_EQ(later->pid, 7);
  ASSERT_EQ(later->backends.size(), 2u);
  EXPECT_EQ(later->backends[0].name, "a");
  EXPECT_EQ(later->backends[0].attempts[0].cls, "answered");
  EXPECT_EQ(later->backends[1].share, BackendStatus{}.share);
  EXPECT_FALSE(to_text(*later).empty());
  ASSERT_TRUE(from_json(R"({"version":"0.1"})").ok());
}

TEST(Status, what_is_none_is_told) {
  for (const char* const text : {"", "{}", "[]", "5", "null", R"({"pid":1})", R"({"version":"1","backends":5})",
                                 R"({"version":"1","pid":"x"})", R"({"version":5})"}) {
    const auto read = from_json(text);
    EXPECT_FALSE(read.ok()) << text;
  }
}

TEST(Status, comes_back_as_it_was_told) {
  Status status;
  status.version = "1";
  status.backends.emplace_back();
  status.backends.back().name = "a";
  const auto again = from_json(to_json(status));
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(to_json(*again), to_json(status));
}

}  // namespace
}  // namespace spillway::admin
