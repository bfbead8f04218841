#include "api/openai/models.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace spillway::api::openai {
namespace {

using nlohmann::json;

TEST(Models, a_list_is_what_the_sdks_read) {
  const json list =
      json::parse(render_models({{"deepseek-flash", "deepseek"}, {"smollm2:135m", "local"}}, 1'700'000'000));
  EXPECT_EQ(list["object"], "list");
  ASSERT_EQ(list["data"].size(), 2u);
  EXPECT_EQ(
      list["data"][0],
      json({{"id", "deepseek-flash"}, {"object", "model"}, {"created", 1'700'000'000}, {"owned_by", "deepseek"}}));
  EXPECT_EQ(list["data"][1]["id"], "smollm2:135m");
}

TEST(Models, an_empty_list_is_a_list) { EXPECT_EQ(json::parse(render_models({}, 0))["data"], json::array()); }

TEST(Models, names_are_escaped) {
  const ModelEntry model{"a\"b\\c\n\xff", "own\"er"};
  EXPECT_EQ(json::parse(render_model(model, 1))["id"], "a\"b\\c\n\uFFFD");
  EXPECT_TRUE(json::accept(render_models({model, model}, 1)));
}

}  // namespace
}  // namespace spillway::api::openai
