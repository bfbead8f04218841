#include "attempt/splice.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace spillway::attempt {
namespace {

using Status = Splice::Status;

// What is passed on of `said`, fed in pieces of `size` bytes; "MISMATCH" where it does not go on.
std::string spliced(const std::string& prefix, const std::string& overlap, const std::string& said,
                    std::size_t size = 1) {
  Splice splice(prefix, overlap);
  std::string out;
  for (std::size_t at = 0; at < said.size(); at += size) {
    const Splice::Step step = splice.feed(std::string_view(said).substr(at, size));
    if (step.status == Status::kMismatch) return "MISMATCH";
    out += step.text;
  }
  const Splice::Step last = splice.end();
  return last.status == Status::kMismatch ? "MISMATCH" : out + last.text;
}

TEST(SafePrefix, goes_back_over_eight_characters_to_a_word) {
  EXPECT_EQ(safe_prefix("The sky is blue because of Rayleigh scatt"),
            std::string_view("The sky is blue because of Rayleigh").size() - 9);
  const std::string line = "first line\nsecond line is here";
  EXPECT_EQ(line.substr(0, safe_prefix(line)), "first line\nsecond line");
  EXPECT_EQ(safe_prefix("a b c d e f g h"), std::string_view("a b c d").size());
}

TEST(SafePrefix, counts_characters_of_cjk_and_never_cuts_one) {
  const std::string text = "天空之所以是蓝色的因为瑞利散射";
  const std::size_t at = safe_prefix(text);
  EXPECT_EQ(at % 3, 0u);
  EXPECT_EQ(count_characters(text.substr(at)), 8u);
  // A mark that combines with the character before it stays with it.
  const std::string kana = "か\u3099か\u3099か\u3099か\u3099か\u3099か\u3099か\u3099か\u3099";
  EXPECT_TRUE(kana.substr(safe_prefix(kana)).starts_with("か"));
}

TEST(SafePrefix, a_short_text_is_begun_anew_and_one_without_a_boundary_is_told) {
  EXPECT_EQ(safe_prefix(""), 0u);
  EXPECT_EQ(safe_prefix("Hello"), 0u);
  EXPECT_EQ(safe_prefix("Hello there"), 0u);
  EXPECT_EQ(safe_prefix(std::string(500, 'x')), 0u);  // it proves nothing
  std::string numbers;
  for (int i = 0; i < 500; ++i) numbers += std::to_string(i) + ",";
  EXPECT_EQ(safe_prefix(numbers), std::string_view::npos);
  EXPECT_EQ(safe_prefix("12 " + std::string(60, '.')), 2u);
}

TEST(Splice, an_overlap_that_is_said_again_is_dropped) {
  for (const std::size_t size : {1u, 2u, 7u, 100u}) {
    EXPECT_EQ(spliced("The sky is blue because of", " Rayleigh scatt", " Rayleigh scattering.", size), "ering.");
    EXPECT_EQ(spliced("", "Hello th", "Hello there", size), "ere");
    EXPECT_EQ(spliced("The sky is blue because of", "", " Rayleigh", size), " Rayleigh");
  }
}

TEST(Splice, another_text_in_place_of_the_overlap_is_noticed) {
  EXPECT_EQ(spliced("The sky is blue because of", " Rayleigh scatt", " the way light"), "MISMATCH");
  EXPECT_EQ(spliced("", "Hello th", "Hi there"), "MISMATCH");
  EXPECT_EQ(spliced("The sky is", " blue because", " blue"), "MISMATCH");  // it ended before the client's end
}

TEST(Splice, a_prefix_that_is_echoed_is_dropped) {
  const std::string prefix = "The sky is blue because of";
  for (const std::size_t size : {1u, 5u, 100u}) {
    EXPECT_EQ(spliced(prefix, " Rayleigh", prefix + " Rayleigh scattering", size), " scattering");
    // Nothing tells it from a text that says it twice.
    EXPECT_EQ(spliced(prefix, "", prefix + " light", size), "MISMATCH");
    EXPECT_EQ(spliced("Short one", "", "Short one goes on", size), "MISMATCH");
  }
}

TEST(Splice, a_beginning_anew_is_noticed) {
  const std::string prefix = "The sky is blue because of the way that light";
  EXPECT_EQ(spliced(prefix, "", "The sky is blue because of scattering, which"), "MISMATCH");
}

TEST(Splice, the_end_of_the_prefix_said_again_is_dropped_where_that_is_proved) {
  const std::string prefix = "The sky is blue because of the way that light";
  for (const std::size_t size : {1u, 4u, 100u}) {
    EXPECT_EQ(spliced(prefix, " is scattered", " that light is scattered by air", size), " by air");
    EXPECT_EQ(spliced(prefix, "", "because of the way that light is scattered", size), "MISMATCH");
    EXPECT_EQ(spliced(prefix, "", " that light is scattered", size), "MISMATCH");
    EXPECT_EQ(spliced(prefix, "", "light is", size), "light is");  // five are text
    EXPECT_EQ(spliced(prefix, "", " that long", size), " that long");
    EXPECT_EQ(spliced("a ------", "", "------|", size), "MISMATCH");
    EXPECT_EQ(spliced("a --------------", "", "------|", size), "MISMATCH");
    EXPECT_EQ(spliced("a --------------", "", "-|", size), "-|");
    // White space that it was not told has to come.
    EXPECT_EQ(spliced("def f(x):", "\n   ", "\n    return", size), " return");
    EXPECT_EQ(spliced("def f(x):", "\n   ", "return", size), "MISMATCH");
    EXPECT_EQ(spliced("def f(x):", "\n   ", "\n  return", size), "MISMATCH");
    EXPECT_EQ(spliced("def f(x):", "\n   ", "\n ", size), "MISMATCH");
  }
}

std::string after(const std::string& before, const std::string& said, std::size_t size) {
  Splice splice("The sky is blue because", "", before);
  std::string out;
  for (std::size_t at = 0; at < said.size(); at += size) {
    const Splice::Step step = splice.feed(std::string_view(said).substr(at, size));
    if (step.status == Status::kMismatch) return "MISMATCH";
    out += step.text;
  }
  const Splice::Step last = splice.end();
  return last.status == Status::kMismatch ? "MISMATCH" : out + last.text;
}

TEST(Splice, one_that_says_the_same_whatever_it_is_told_does_not_go_on) {
  for (const std::size_t size : {1u, 6u, 100u}) {
    EXPECT_EQ(after("Of course! Here is it", "Of course! Here is another", size), "MISMATCH");
    EXPECT_EQ(after("Of course! Here is it", "Of course", size), "MISMATCH");
    EXPECT_EQ(after(" of the light", " of Rayleigh", size), " of Rayleigh");
    EXPECT_EQ(after(" since", " of Rayleigh", size), " of Rayleigh");
  }
}

TEST(Splice, white_space_apart) {
  EXPECT_TRUE(alike_but_for_white_space("request overload", " request \n overload and"));
  EXPECT_TRUE(alike_but_for_white_space("it waves", "it  waves"));
  EXPECT_FALSE(alike_but_for_white_space("it", "it waves"));  // too little to tell
  EXPECT_FALSE(alike_but_for_white_space("request overload", "request underload"));
}

TEST(Splice, a_few_repeated_characters_are_text) {
  EXPECT_EQ(spliced("no, ", "", "no, no"), "no, no");
  EXPECT_EQ(spliced("哈", "", "哈哈哈"), "哈哈哈");
  EXPECT_EQ(spliced("The end", "", "The cat"), "The cat");  // three bytes alike, then another text
}

std::string behind(const std::string& anchor, const std::string& said, std::size_t size = 3) {
  Splice splice = Splice::behind(anchor);
  std::string out;
  for (std::size_t at = 0; at < said.size(); at += size) {
    const Splice::Step step = splice.feed(std::string_view(said).substr(at, size));
    if (step.status == Status::kMismatch) return "MISMATCH";
    out += step.text;
  }
  const Splice::Step last = splice.end();
  return last.status == Status::kMismatch ? "MISMATCH" : out + last.text;
}

TEST(Splice, behind_an_anchor_everything_is_new) {
  EXPECT_EQ(behind("because of Rayleigh scatt", "because of Rayleigh scattering."), "ering.");
  EXPECT_EQ(behind("because of Rayleigh scatt", "Sure! \"… because of Rayleigh scattering."), "ering.");
  EXPECT_EQ(behind("Step 1:\n  do it", "Step 1: do it now"), " now");
  EXPECT_EQ(behind("of the ", "of the way"), "way");
  EXPECT_EQ(behind("瑞利散射", "……瑞利散射：短波"), "：短波");
}

TEST(Splice, without_its_anchor_nothing_is_spliced_on) {
  EXPECT_EQ(behind("because of Rayleigh scatt", "The sky is blue since light scatters."), "MISMATCH");
  EXPECT_EQ(behind("because of Rayleigh scatt", "because of Ray"), "MISMATCH");
  EXPECT_EQ(behind("the anchor", std::string(300, 'x') + "the anchor and more"), "MISMATCH");
}

TEST(Splice, white_space_behind_the_anchor_has_to_come_as_it_was_sent) {
  for (const std::size_t size : {1u, 3u, 100u}) {
    EXPECT_EQ(behind("def f(x):\n   ", "def f(x):\n    return", size), " return");
    EXPECT_EQ(behind("def f(x):\r", "def f(x):\r\n  y", size), "\n  y");
    EXPECT_EQ(behind("def f(x):\n   ", "def f(x):\n  return", size), "MISMATCH");
    EXPECT_EQ(behind("it waves at ", "it waves at哈哈", size), "MISMATCH");
    EXPECT_EQ(behind("it waves at", "it waves at   ", size), "   ");
    EXPECT_EQ(behind(" it waves at", "it waves at you", size), " you");
  }
}

TEST(Splice, an_engine_that_goes_on_exactly_may_repeat_itself) {
  Splice splice = Splice::exact("");
  EXPECT_EQ(splice.feed("no, no, no").text, "no, no, no");
  Splice behind = Splice::exact("\n  ");
  EXPECT_EQ(behind.feed("\n ").status, Status::kHold);
  EXPECT_EQ(behind.feed("  x").text, " x");
  Splice other = Splice::exact("\n  ");
  EXPECT_EQ(other.feed("\nx").status, Status::kMismatch);
}

TEST(AnchorOf, is_what_stands_nowhere_else) {
  EXPECT_EQ(anchor_of("天空之所以是蓝色的因为瑞利散射"), "天空之所以是蓝色的因为瑞利散射");
  EXPECT_EQ(
      count_characters(anchor_of("It was the best of times, it was the worst of times, it was the age of wisdom")),
      40u);
  EXPECT_EQ(anchor_of("short"), "");
  EXPECT_EQ(anchor_of("no, no, no, no, "), "");
  EXPECT_EQ(anchor_of(std::string(100, '-')), "");
  EXPECT_EQ(anchor_of(std::string(100, ' ')), "");
  const std::string line = "a line of some length that is said twice\n";
  EXPECT_EQ(anchor_of(line + line), "e\n" + line);
  EXPECT_EQ(anchor_of("first of all " + line + line), "e\n" + line);
}

TEST(ProvingEnd, is_the_shortest_end_that_stands_nowhere_else) {
  EXPECT_EQ(proving_end("abcdef"), 1u);
  EXPECT_EQ(proving_end("abcab"), 3u);
  EXPECT_EQ(proving_end("ab  cab \n"), 5u);  // " cab "
  EXPECT_EQ(proving_end("aaaa"), 4u);
  EXPECT_EQ(proving_end("x" + std::string(2000, '.')), std::string_view::npos);
  EXPECT_EQ(proving_end(""), std::string_view::npos);
}

TEST(Splice, whatever_the_cut_an_honest_upstream_gives_the_unbroken_text) {
  std::mt19937 random(5);
  const std::vector<std::string> words{"the ", "sky", " is", "\n", "蓝色", "的",
                                       "no, ", "🦀 ", "é",   "  ", "x",    "scattering"};
  for (int round = 0; round < 3000; ++round) {
    std::string whole;
    for (std::size_t i = random() % 40; i > 0; --i) whole += words[random() % words.size()];
    std::size_t cut = whole.empty() ? 0 : random() % (whole.size() + 1);
    while (cut < whole.size() && (static_cast<unsigned char>(whole[cut]) & 0xC0) == 0x80) ++cut;
    const std::string sent = whole.substr(0, cut);
    std::size_t prefix = safe_prefix(sent);
    if (prefix == std::string_view::npos) prefix = sent.size();
    const bool echoes = random() % 2 == 0 && prefix < sent.size();
    const std::string said = echoes ? whole : whole.substr(prefix);
    // An echo of a few characters cannot be told from text, so no test asks for it.
    if (echoes && prefix > 0 && prefix <= Splice::kChance) continue;
    if (!echoes && prefix > Splice::kChance && said.starts_with(sent.substr(0, prefix))) continue;
    // Nor is what an upstream without any overlap may have said again, told from text.
    if (prefix == sent.size() && prefix > Splice::kChance && said.size() > Splice::kChance &&
        sent.find(said.substr(0, Splice::kChance + 1)) != std::string::npos)
      continue;
    EXPECT_EQ(sent + spliced(sent.substr(0, prefix), sent.substr(prefix), said, 1 + random() % 9), whole)
        << "sent: " << sent << " echoes: " << echoes;
  }
}

TEST(Splice, an_anchor_that_is_said_twice_proves_nothing) {
  const auto all = [](std::string_view anchor, std::vector<std::string_view> pieces) {
    Splice splice = Splice::behind(std::string(anchor));
    std::string passed;
    for (const std::string_view piece : pieces) {
      const Splice::Step step = splice.feed(piece);
      if (step.status == Status::kMismatch) return std::string("MISMATCH");
      passed += step.text;
    }
    return passed + splice.end().text;
  };
  EXPECT_EQ(all("scatter naive ", {"scatter naive scatter naive so"}), "MISMATCH");
  EXPECT_EQ(all("scatter naive ", {"scatter naive ", "scat", "ter naive ", "so"}), "MISMATCH");
  EXPECT_EQ(all("scatter naive ", {"scatter naive ", "sc", "ience"}), "science");
  EXPECT_EQ(all("scatter naive ", {"scatter naive ", "sc"}), "sc");
}

}  // namespace
}  // namespace spillway::attempt
