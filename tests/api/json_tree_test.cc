#include "api/json_tree.h"

#include <gtest/gtest.h>

#include "api/padded.h"

namespace spillway::api {
namespace {

using testing::Padded;
using Type = JsonTree::Type;

TEST(JsonTree, values_are_views_of_what_stands_in_the_text) {
  const Padded text(R"( {"a" : [1, {"b":"x\\n\u00e9"} , null ], "c":{ },"d":-1.50e3 ,"e":true} )");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  const JsonTree::Value root = tree.root();
  EXPECT_EQ(root["a"].raw(), R"([1, {"b":"x\\n\u00e9"} , null ])");
  EXPECT_EQ(root["d"].raw(), "-1.50e3");
  EXPECT_EQ(root["c"].raw(), "{ }");
  EXPECT_TRUE(root["c"].empty());
  EXPECT_TRUE(root["e"].is_true());
  std::vector<Type> types;
  for (const JsonTree::Value one : root["a"]) types.push_back(one.type());
  EXPECT_EQ(types, (std::vector{Type::kNumber, Type::kObject, Type::kNull}));
  std::vector<std::string_view> keys;
  for (const JsonTree::Value member : root) keys.push_back(member.key());
  EXPECT_EQ(keys, (std::vector<std::string_view>{"a", "c", "d", "e"}));
}

TEST(JsonTree, what_is_missing_is_empty_all_the_way_down) {
  const Padded text(R"({"a":null,"b":"x"})");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  const JsonTree::Value none = tree.root()["no"]["such"]["thing"];
  EXPECT_EQ(none.type(), Type::kMissing);
  EXPECT_FALSE(none);
  EXPECT_FALSE(tree.root()["a"]);
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.raw(), "");
  EXPECT_EQ(none.text(), "");
  EXPECT_EQ(none.integer(), std::nullopt);
  EXPECT_EQ(none.begin(), none.end());
  EXPECT_EQ(tree.root()["b"]["c"].type(), Type::kMissing);
}

TEST(JsonTree, names_with_escapes_are_read) {
  const Padded text(R"({"\u006dodel":"x","a\"b":1})");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  EXPECT_EQ(tree.root()["model"].text(), "x");
  EXPECT_EQ(tree.root()["a\"b"].integer(), 1);
}

TEST(JsonTree, texts_keep_their_escapes_and_can_be_decoded) {
  const Padded text(R"({"a":"\ud83d\ude00\n\/","half":"\ud83d"})");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  EXPECT_EQ(tree.root()["a"].escaped(), R"(\ud83d\ude00\n\/)");
  EXPECT_EQ(tree.root()["a"].text(), "\U0001F600\n/");
  EXPECT_EQ(tree.root()["half"].text(), "\uFFFD");
}

TEST(JsonTree, what_is_no_json_object_is_refused) {
  for (const std::string text :
       {"", "[]", "1", "{", "{}x", "{\"a\":}", "{\"a\":\"\\q\"}", "{\"a\":\"\\u12\"}", "{\"a\":nul}", "{\"a\":0\"b\"}",
        "{\"a\":[0 1]}", "{\"a\":01}", "{\"a\":1.}", "{\"a\":-}", "{\"a\":truefalse}", "{\"a\":0\"b\":1}",
        "{\"a\":\"b\"\"c\"}", "{\"a\":true\"c\"}", "{\"a\":\"\xff\"}"}) {
    JsonTree tree;
    EXPECT_FALSE(tree.parse(Padded(text).view())) << text;
    EXPECT_FALSE(tree.root()) << text;
  }
  JsonTree tree;
  EXPECT_FALSE(tree.parse(Padded("{\"a\":" + std::string(500, '[') + std::string(500, ']') + "}").view()));
}

TEST(JsonTree, whole_numbers_only_where_they_fit) {
  const Padded text(R"({"a":9223372036854775807,"b":9223372036854775808,"c":1.0,"d":"1"})");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  EXPECT_EQ(tree.root()["a"].integer(), 9223372036854775807);
  EXPECT_EQ(tree.root()["b"].integer(), std::nullopt);
  EXPECT_EQ(tree.root()["c"].integer(), std::nullopt);
  EXPECT_EQ(tree.root()["d"].integer(), std::nullopt);
}

TEST(JsonTree, tells_what_a_text_is) {
  using Found = JsonTree::Found;
  JsonTree tree;
  const auto found = [&](const std::string& text) { return tree.look_at(Padded(text).view()); };
  for (const char* const other : {"null", "7", "\"x\"", "[]", "[1,{}]", "true", " 1e999 ", "NaN"})
    EXPECT_EQ(found(other), Found::kOther) << other;
  EXPECT_EQ(found(R"({"a":1}{"a":2})"), Found::kSeveral);
  EXPECT_EQ(found("{}\n{}"), Found::kSeveral);
  for (const char* const none :
       {"",  " ",    "{}x",  "{}]", "[1,]", "{,}", "{\"a\"}", "{\"a\":1,}", "{1:2}", ":",  ",",          "]",
        "}", "nope", "None", "-",   "+1",   ".5",  "0x1",     "{\"a\" 1}",  "[1 2]", "\"", "{\"a\":\"x}"})
    EXPECT_EQ(found(none), Found::kNothing) << none;
}

TEST(JsonTree, numbers_of_any_size_and_what_is_none_lose_nothing) {
  const Padded text(R"({"a":[NaN,-Infinity,{"b":Infinity}],"c":1e999,"d":123456789012345678901234567890,"e":"x"})");
  JsonTree tree;
  ASSERT_TRUE(tree.parse(text.view()));
  EXPECT_EQ(tree.root()["a"].raw(), R"([null,null,{"b":null}])");
  EXPECT_EQ(tree.root()["c"].raw(), "1e999");
  EXPECT_EQ(tree.root()["d"].raw(), "123456789012345678901234567890");
  EXPECT_EQ(tree.root()["e"].escaped(), "x");
  EXPECT_EQ(tree.root().raw(), R"({"a":[null,null,{"b":null}],"c":1e999,"d":123456789012345678901234567890,"e":"x"})");
}

TEST(JsonTree, is_of_limited_depth_and_needs_no_stack) {
  const auto nested = [](std::size_t depth) {
    return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
  };
  JsonTree tree;
  EXPECT_TRUE(tree.parse(Padded(nested(kMaxDepth - 1)).view()));
  EXPECT_FALSE(tree.parse(Padded(nested(kMaxDepth)).view()));
  EXPECT_FALSE(tree.parse(Padded(nested(1'000'000)).view()));
  std::string objects;
  for (int i = 0; i < 100'000; ++i) objects += "{\"a\":";
  EXPECT_FALSE(tree.parse(Padded(objects + "1" + std::string(100'000, '}')).view()));
}

}  // namespace
}  // namespace spillway::api
