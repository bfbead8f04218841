#include "base/json_text.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace spillway::json {
namespace {

std::string as_json(std::string_view text) {
  std::string out;
  append_string(out, text);
  return out;
}

std::string number(double value, int decimals) {
  std::string out;
  append_number(out, value, decimals);
  return out;
}

TEST(JsonText, plain_text_stands_for_itself) { EXPECT_EQ(as_json("abc /~ xyz"), "\"abc /~ xyz\""); }

TEST(JsonText, what_json_forbids_is_escaped) {
  EXPECT_EQ(as_json("\"\\\n\r\t"), R"("\"\\\n\r\t")");
  EXPECT_EQ(as_json(std::string_view("\0\x1f\b\f", 4)), R"("\u0000\u001f\u0008\u000c")");
}

TEST(JsonText, every_byte_below_0x80_reads_back_alike) {
  std::string all;
  for (char c = 0; c < 0x7f; ++c) all.push_back(c);
  all.push_back(0x7f);
  EXPECT_EQ(nlohmann::json::parse(as_json(all)).get<std::string>(), all);
}

TEST(JsonText, valid_utf8_of_every_length_is_kept) {
  const std::string text = "\u00e9 \u4f60\u597d \U0001F600 \U0010FFFF \uFFFD \u0800 \uD7FB \uE000";
  EXPECT_EQ(as_json(text), "\"" + text + "\"");
}

TEST(JsonText, bytes_that_are_not_utf8_become_replacement_characters) {
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(as_json("a\x80z"), "\"a" + bad + "z\"");
  EXPECT_EQ(as_json("\xC0\xAF"), "\"" + bad + bad + "\"");                      // overlong slash
  EXPECT_EQ(as_json("\xE0\x80\xAF"), "\"" + bad + bad + bad + "\"");            // overlong
  EXPECT_EQ(as_json("\xED\xA0\x80"), "\"" + bad + bad + bad + "\"");            // a surrogate
  EXPECT_EQ(as_json("\xF4\x90\x80\x80"), "\"" + bad + bad + bad + bad + "\"");  // beyond U+10FFFF
  EXPECT_EQ(as_json("\xE4\xBD"), "\"" + bad + bad + "\"");                      // cut at the end
  EXPECT_EQ(as_json("\xE4\xBD|"), "\"" + bad + bad + "|\"");
  EXPECT_EQ(as_json("\xFF\xFE"), "\"" + bad + bad + "\"");
}

TEST(JsonText, any_two_bytes_give_valid_json) {
  for (int a = 0; a < 256; ++a) {
    for (int b = 0; b < 256; ++b) {
      const std::string text{static_cast<char>(a), static_cast<char>(b)};
      ASSERT_TRUE(nlohmann::json::accept(as_json(text))) << a << " " << b;
    }
  }
}

TEST(JsonText, keys_get_a_comma_unless_they_are_first) {
  std::string out = "{";
  append_key(out, "a");
  out += "1";
  append_key(out, "b\"");
  out += "{";
  append_key(out, "c");
  out += "\"{\"";
  append_key(out, "d");
  out += "2}}";
  EXPECT_EQ(out, R"({"a":1,"b\"":{"c":"{","d":2}})");
}

TEST(JsonText, numbers_have_no_trailing_zeros) {
  EXPECT_EQ(number(0, 3), "0");
  EXPECT_EQ(number(1, 3), "1");
  EXPECT_EQ(number(100, 0), "100");
  EXPECT_EQ(number(1.5, 3), "1.5");
  EXPECT_EQ(number(0.0625, 3), "0.062");
  EXPECT_EQ(number(-2.25, 6), "-2.25");
  EXPECT_EQ(number(1e15, 3), "1000000000000000");
}

TEST(JsonText, numbers_of_any_size_are_valid_json_and_read_back) {
  for (const double value :
       {1e20, 1e100, -1e300, std::numeric_limits<double>::max(), std::numeric_limits<double>::lowest()}) {
    const std::string text = number(value, 6);
    ASSERT_TRUE(nlohmann::json::accept(text)) << text;
    EXPECT_EQ(std::stod(text), value) << text;
  }
  EXPECT_TRUE(nlohmann::json::accept(number(-0.0001, 3)));
}

TEST(JsonText, what_is_no_number_is_null) {
  EXPECT_EQ(number(std::nan(""), 3), "null");
  EXPECT_EQ(number(std::numeric_limits<double>::infinity(), 3), "null");
}

TEST(Unescaped, undoes_what_append_string_does) {
  for (const std::string text : {"", "plain", "a\"b\\c\n\r\t\x01", "\u00e9\u4f60\U0001F600"}) {
    std::string quoted;
    append_string(quoted, text);
    EXPECT_EQ(unescaped(std::string_view(quoted).substr(1, quoted.size() - 2)), text);
  }
}

TEST(Unescaped, escapes_that_are_none_become_a_mark) {
  EXPECT_EQ(unescaped(R"(\ud83d\ude00)"), "\U0001F600");
  EXPECT_EQ(unescaped(R"(\b\f\/)"), "\b\f/");
  for (const std::string text : {R"(\ud83d)", R"(\ude00)", R"(\ud83dx)", R"(\q)", R"(\u12)", "\\"})
    EXPECT_NE(unescaped(text).find("\uFFFD"), std::string::npos) << text;
}

}  // namespace
}  // namespace spillway::json
