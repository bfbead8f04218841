#include "config/document.h"

#include <gtest/gtest.h>

namespace spillway::config {
namespace {

std::string dotted(int parts) {
  std::string key = "a";
  for (int i = 1; i < parts; ++i) key += ".a";
  return key;
}

std::string nested(int levels) {
  std::string out = "a = ";
  for (int i = 0; i < levels; ++i) out += "[";
  for (int i = 0; i < levels; ++i) out += "]";
  return out;
}

TEST(Document, a_key_has_at_most_32_parts) {
  for (const std::string& text : {dotted(32) + " = 1", "[" + dotted(32) + "]", "[[" + dotted(32) + "]]"})
    EXPECT_EQ(parse_document(text).error, "") << text;
  for (const std::string& text : {dotted(33) + " = 1", "[" + dotted(33) + "]", "[[" + dotted(33) + "]]",
                                  "x = { " + dotted(33) + " = 1 }", "a . " + dotted(32) + " = 1"}) {
    EXPECT_EQ(parse_document(text).error, "a key with more than 32 parts") << text;
  }
}

TEST(Document, a_key_that_would_use_up_the_stack_is_refused) {
  for (const std::string& text : {dotted(500'000) + " = 1", "[" + dotted(500'000) + "]"})
    EXPECT_NE(parse_document(text).error, "");
}

TEST(Document, values_nest_at_most_32_levels) {
  EXPECT_EQ(parse_document(nested(kMaxNesting)).error, "");
  EXPECT_NE(parse_document(nested(kMaxNesting + 1)).error, "");
  EXPECT_NE(parse_document(nested(500'000)).error, "");
}

TEST(Document, the_place_of_a_deep_key_is_told) {
  const Document document = parse_document("a = \"\"\"\n\n\"\"\"\n" + dotted(40) + " = 1");
  EXPECT_EQ(document.error_place, (Place{4, 64}));
}

TEST(Document, dots_elsewhere_are_no_parts_of_a_key) {
  const std::string dots(100, '.');
  for (const std::string& text :
       {"# " + dots, "a = 1 # " + dots, "a = \"" + dots + "\"", "a = '" + dots + "'", "a = \"\\\"" + dots + "\"",
        "a = \"\"\"\n" + dots + "\"\n\"\"\"\"\"\nb = 1", "a = '''" + dots + "''" + dots + "'''''",
        "\"" + dots + "\" = 1", "a = [\"" + dots + "\", '" + dots + "']", "a = \"\" # " + dots,
        "a = '\\'\nb = '" + dots + "'"}) {
    EXPECT_EQ(parse_document(text).error, "") << text;
  }
}

TEST(Document, what_ends_a_string_does_not_hide_a_deep_key) {
  for (const std::string& before : {"a = \"\"\"x\"\"\"\"\n", "a = '''x'''''\n", "a = \"\\\\\"\n", "a = '\\'\n",
                                    "# \"\n", "a = \"\"\n", "\"\".b = 1\n", "a = \"\"\"\\\"\"\"\"\n"}) {
    EXPECT_EQ(parse_document(before + dotted(40) + " = 1").error, "a key with more than 32 parts") << before;
  }
}

TEST(Document, a_letter_beyond_ascii_is_an_error_outside_of_quotes_alone) {
  for (const std::string& letter : {"é", "ж", "“", "\u00A0", "模", "ﺏ", "\uFEBF", "😀"}) {
    for (const std::string& text :
         {letter + " = 1", "a" + letter + " = 1", "a = " + letter, "a = 1" + letter, "a = 1 " + letter,
          "[" + letter + "]", "a = \"\"\"\\" + letter + "\"\"\"", "a = \"\"" + letter, "a = [1" + letter + "]"}) {
      EXPECT_NE(parse_document(text).error, "") << text;
    }
    for (const std::string& text : {"\"" + letter + "\" = 1", "# " + letter, "a = '" + letter + "'"})
      EXPECT_EQ(parse_document(text).error, "") << text;
  }
  EXPECT_EQ(parse_document("a = \"\"\"\\\n  é\"\"\"").root.find("a")->text, "é");
}

TEST(Document, a_time_that_is_none_is_an_error) {
  for (const char* text : {"a = 1979-05-27Tx_a07:32:00Z", "a = 1979-05-27T", "a = 1979-05-27 _", "a = 07:3_"})
    EXPECT_NE(parse_document(text).error, "") << text;
}

}  // namespace
}  // namespace spillway::config
