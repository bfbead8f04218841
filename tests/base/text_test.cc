#include "base/text.h"

#include <gtest/gtest.h>

namespace spillway {
namespace {

TEST(Text, case_is_ignored_for_ascii_letters_alone) {
  EXPECT_TRUE(equals_ignore_case("Content-Length", "cONTENT-lENGTH"));
  EXPECT_TRUE(equals_ignore_case("", ""));
  EXPECT_FALSE(equals_ignore_case("a", "ab"));
  EXPECT_FALSE(equals_ignore_case("[", "{"));
  EXPECT_FALSE(equals_ignore_case("@", "`"));
  EXPECT_FALSE(equals_ignore_case("\xC4", "\xE4"));
  EXPECT_EQ(to_lower("AbC-\xC4Z"), "abc-\xC4z");
}

TEST(Text, trim_takes_spaces_and_tabs_from_both_ends) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim(""), "");
  EXPECT_EQ(trim("\na\r"), "\na\r");
}

TEST(EditDistance, counts_each_kind_of_edit_as_one) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("listen", "listen"), 0u);
  EXPECT_EQ(edit_distance("listen", "lisen"), 1u);
  EXPECT_EQ(edit_distance("listen", "listeen"), 1u);
  EXPECT_EQ(edit_distance("listen", "lisden"), 1u);
  EXPECT_EQ(edit_distance("listen", "litsen"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ca", "abc"), 3u);  // optimal string alignment: no edit within a swap
}

TEST(EditDistance, is_the_same_both_ways) {
  for (const auto& [a, b] : {std::pair("smollm2", "smolm2"), std::pair("abcd", "badc"), std::pair("x", "yz")}) {
    EXPECT_EQ(edit_distance(a, b), edit_distance(b, a));
  }
}

TEST(DidYouMean, suggests_the_nearest_and_nothing_far_away) {
  const std::vector<std::string> keys{"listen", "admin_listen", "threads", "tls"};
  EXPECT_EQ(did_you_mean("lisen", keys), "listen");
  EXPECT_EQ(did_you_mean("LISTEN", keys), "listen");
  EXPECT_EQ(did_you_mean("thread", keys), "threads");
  EXPECT_EQ(did_you_mean("admin-listen", keys), "admin_listen");
  EXPECT_EQ(did_you_mean("colour", keys), std::nullopt);
  EXPECT_EQ(did_you_mean("listen", {}), std::nullopt);
}

TEST(DidYouMean, a_short_word_may_have_one_letter_wrong) {
  EXPECT_EQ(did_you_mean("tsl", {"tls"}), "tls");
  EXPECT_EQ(did_you_mean("xyz", {"tls"}), std::nullopt);
  EXPECT_EQ(did_you_mean("ab", {"cd"}), std::nullopt);
}

TEST(Glob, star_is_any_run_and_question_mark_any_one_byte) {
  EXPECT_TRUE(glob_match("*", ""));
  EXPECT_TRUE(glob_match("*", "gpt-4o"));
  EXPECT_TRUE(glob_match("gpt-*", "gpt-"));
  EXPECT_TRUE(glob_match("gpt-*", "gpt-4o"));
  EXPECT_FALSE(glob_match("gpt-*", "xgpt-4o"));
  EXPECT_TRUE(glob_match("gpt-?", "gpt-4"));
  EXPECT_FALSE(glob_match("gpt-?", "gpt-"));
  EXPECT_FALSE(glob_match("gpt-?", "gpt-4o"));
  EXPECT_TRUE(glob_match("*-flash", "deepseek-flash"));
  EXPECT_TRUE(glob_match("a*b*c", "aXXbYYbZc"));
  EXPECT_FALSE(glob_match("a*b*c", "aXXbYYbZ"));
  EXPECT_TRUE(glob_match("**a**", "bab"));
}

TEST(Glob, covers_the_whole_text_and_every_other_character_stands_for_itself) {
  EXPECT_TRUE(glob_match("", ""));
  EXPECT_FALSE(glob_match("", "a"));
  EXPECT_FALSE(glob_match("a", "ab"));
  EXPECT_FALSE(glob_match("a", ""));
  EXPECT_FALSE(glob_match("GPT", "gpt"));
  EXPECT_TRUE(glob_match("[a]", "[a]"));
  EXPECT_FALSE(glob_match("[a]", "a"));
  EXPECT_TRUE(glob_match("a.b:c/d", "a.b:c/d"));
  EXPECT_FALSE(glob_match("a.b", "axb"));
}

TEST(Glob, many_stars_take_no_exponential_time) {
  std::string pattern;
  for (int i = 0; i < 200; ++i) pattern += "*a";
  EXPECT_FALSE(glob_match(pattern + "b", std::string(5'000, 'a')));
}

TEST(Base64, has_the_vectors_of_the_rfc) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(base64(std::string("\xff\xfe\x00", 3)), "//4A");
}

TEST(Rfc3339, is_the_time_in_utc) {
  EXPECT_EQ(rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(rfc3339(1'795'629'600), "2026-11-25T18:00:00Z");
}

}  // namespace
}  // namespace spillway
