#include "fleet/models/model_name.h"

#include <gtest/gtest.h>

namespace spillway::fleet {
namespace {

TEST(ModelName, is_a_name_and_a_tag) {
  const auto name = parse_model_name("smollm2:135m");
  ASSERT_TRUE(name.ok());
  EXPECT_EQ(name->name, "smollm2");
  EXPECT_EQ(name->tag, "135m");
  EXPECT_EQ(name->to_string(), "smollm2:135m");
}

TEST(ModelName, without_a_tag_means_latest) { EXPECT_EQ(parse_model_name("smollm2")->to_string(), "smollm2:latest"); }

TEST(ModelName, may_stand_in_a_path) {
  for (const char* bad :
       {"", ":", "a:", ":b", "a:b:c", "../a", "a/b", ".a", "a:.b", "a:..", "A", "a b", "a\n", "-a", "ä", "a.gguf"}) {
    const auto name = parse_model_name(bad);
    ASSERT_FALSE(name.ok()) << bad;
    EXPECT_EQ(name.error().code, ErrorCode::kInvalidArgument);
    EXPECT_FALSE(name.error().hint.empty());
  }
  EXPECT_FALSE(parse_model_name(std::string_view("a\0b", 3)).ok());
  EXPECT_TRUE(parse_model_name("qwen2.5-0.5b_x:q4_k-m").ok());
}

TEST(ModelName, each_part_has_at_most_128_bytes) {
  EXPECT_TRUE(parse_model_name(std::string(128, 'a') + ":" + std::string(128, 'b')).ok());
  EXPECT_FALSE(parse_model_name(std::string(129, 'a')).ok());
  EXPECT_FALSE(parse_model_name("a:" + std::string(129, 'b')).ok());
}

TEST(ModelName, a_slash_or_gguf_makes_it_a_path) {
  EXPECT_TRUE(is_model_path("./model"));
  EXPECT_TRUE(is_model_path("model.gguf"));
  EXPECT_FALSE(is_model_path("model:tag"));
}

}  // namespace
}  // namespace spillway::fleet
