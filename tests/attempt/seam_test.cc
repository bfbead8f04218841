// Texts of the kinds that are hard to put together, cut at every token's border, in every form of going on: the client
// has the text of the unbroken answer, byte for byte, or is told that it broke.
#include <gtest/gtest.h>

#include <cctype>
#include <vector>

#include "attempt/splice.h"

namespace spillway::attempt {
namespace {

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_line_end(char c) { return c == '\n' || c == '\r'; }
bool is_word(char c) {
  return static_cast<unsigned char>(c) >= 0x80 || std::isalpha(static_cast<unsigned char>(c)) != 0;
}
bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// Where the tokens of `text` end, as the pattern of cl100k_base has it (openai/tiktoken, openai_public.py): a word with
// the blank before it; up to three digits; signs with the line ends behind them; white space, but for its last blank.
std::vector<std::size_t> token_ends(std::string_view text) {
  std::vector<std::size_t> ends;
  std::size_t at = 0;
  const auto run = [&](std::size_t from, auto is, std::size_t most = std::string_view::npos) {
    const std::size_t begin = from;
    while (from < text.size() && from - begin < most && is(text[from])) ++from;
    return from;
  };
  const auto is_sign = [](char c) { return !is_blank(c) && !is_line_end(c) && !is_word(c) && !is_digit(c); };
  while (at < text.size()) {
    const std::size_t behind_blank = at + (is_blank(text[at]) ? 1 : 0);
    std::size_t end = at;
    if (behind_blank < text.size() && is_word(text[behind_blank])) {
      end = run(behind_blank, is_word, 8);
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    } else if (is_digit(text[at])) {
      end = run(at, is_digit, 3);
    } else if (behind_blank < text.size() && is_sign(text[behind_blank])) {
      end = run(run(behind_blank, is_sign, 6), is_line_end);
    } else {
      const std::size_t blanks = run(at, is_blank);
      const std::size_t lines = run(blanks, is_line_end);
      end = lines > blanks ? lines : blanks - at > 1 && blanks < text.size() ? blanks - 1 : blanks;
    }
    ends.push_back(at = end);
  }
  return ends;
}

const std::vector<std::pair<std::string, std::string>>& texts() {
  static const std::vector<std::pair<std::string, std::string>> kTexts{
      {"python",
       "Here it is:\n\n```python\nimport os\n\n\ndef walk(path, depth=0):\n    for name in sorted(os.listdir(path)):\n"
       "        full = os.path.join(path, name)\n        if os.path.isdir(full):\n            print('  ' * depth + "
       "name)\n"
       "            walk(full, depth + 1)\n        else:\n            print('  ' * depth + name)\n\n\n"
       "if __name__ == '__main__':\n    walk('.')\n```\n"},
      {"yaml",
       "services:\n  web:\n    image: nginx:1.27\n    ports:\n      - \"80:80\"\n      - \"443:443\"\n    depends_on:\n"
       "      - db\n  db:\n    image: postgres:17\n    environment:\n      POSTGRES_PASSWORD: secret\n"},
      {"go",
       "func main() {\n\tfor i := 0; i < 3; i++ {\n\t\tif i%2 == 0 {\n\t\t\tfmt.Println(i)\n\t\t}\n\t}\n\treturn\n}\n"},
      {"make", "all: build test\n\nbuild:\n\t@mkdir -p out\n\tcc -o out/a a.c\n\ntest: build\n\t./out/a\n\tdiff a b\n"},
      {"table",
       "| name   | value |\n|:-------|------:|\n| a      |     1 |\n| b      |     2 |\n| a      |     1 |\n| c      | "
       "  "
       "  3 |\n\nThat is all.\n"},
      {"crlf", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello\r\n\r\nThat is it.\r\n"},
      {"contents",
       "1 Introduction ............................................. 3\n2 Methods "
       ".................................................. 12\n3 Results "
       "..............................................................................................................."
       "..."
       " 40\n"},
      {"base64", "data:image/png;base64,iVBORw0KGgo" + std::string(150, 'A') + "5CYII=\nand so on\n"},
      {"rule", "Title\n" + std::string(120, '=') + "\n\nText below " + std::string(100, '-') + "\nend\n"},
      {"minified", R"([{"id":1,"a":0},{"id":1,"a":0},{"id":1,"a":0},{"id":1,"a":0},{"id":1,"a":0},{"id":1,"a":1}])"},
      {"laughs", "no, no, no, no, no, no, no, no, yes: 哈哈哈哈哈哈哈哈哈哈哈哈，好的。 ha ha ha ha ha ha ha ha ha ok"},
      {"matrix", "0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0\n0 0 0 0 0 0 0 0\n0 0 0 1 0 0 0 0\n0 0 0 0 0 0 0 0\n"},
      {"chinese",
       "天空之所以是蓝色的，是因为瑞利散射：短波长的光散射得更多。  \n\n- 蓝光\n- 紫光\n\n因此天空是蓝色的。"},
      {"prose",
       "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of foolishness."},
  };
  return kTexts;
}

// What the client has at the end; nothing: it is told that the answer broke.
std::optional<std::string> joined(const std::string& sent, Splice splice, std::string_view said) {
  std::string out = sent;
  std::size_t at = 0;
  for (const std::size_t end : token_ends(said)) {
    const Splice::Step step = splice.feed(said.substr(at, end - at));
    if (step.status == Splice::Status::kMismatch) return std::nullopt;
    out += step.text;
    at = end;
  }
  const Splice::Step last = splice.end();
  if (last.status == Splice::Status::kMismatch) return std::nullopt;
  return out + last.text;
}

struct Way {
  const char* name;
  // Of an upstream that would have said `whole`; nothing: it is not asked so.
  std::optional<std::string> (*go_on)(const std::string& sent, const std::string& whole);
};

// Told less than was sent.
template <bool EchoesAll, std::size_t Echoed>
std::optional<std::string> by_overlap(const std::string& sent, const std::string& whole) {
  const std::size_t prefix = safe_prefix(sent);
  if (prefix == 0 || prefix == std::string::npos) return std::nullopt;
  const std::size_t from = EchoesAll ? 0 : prefix - std::min(prefix, Echoed);
  return joined(sent, Splice(sent.substr(0, prefix), sent.substr(prefix)), std::string_view(whole).substr(from));
}
// Told all of it, or all but the white space at its end.
template <bool Trimmed>
std::optional<std::string> unproved(const std::string& sent, const std::string& whole) {
  const std::size_t prefix = Trimmed ? sent.find_last_not_of(" \t\r\n") + 1 : sent.size();
  return joined(sent, Splice(sent.substr(0, prefix), sent.substr(prefix)), std::string_view(whole).substr(prefix));
}
std::optional<std::string> by_asking(const std::string& sent, const std::string& whole, const std::string& before) {
  const std::string anchor(anchor_of(sent));
  if (anchor.empty()) return std::nullopt;
  return joined(sent, Splice::behind(anchor), before + whole.substr(sent.size() - anchor.size()));
}

const Way kWays[] = {
    {"overlap", by_overlap<false, 0>},
    {"overlap, last words again", by_overlap<false, 11>},
    {"overlap, all again", by_overlap<true, 0>},
    {"unproved", unproved<false>},
    {"unproved, trimmed", unproved<true>},
    {"ask", [](const std::string& sent, const std::string& whole) { return by_asking(sent, whole, ""); }},
    {"ask, with a remark",
     [](const std::string& sent, const std::string& whole) { return by_asking(sent, whole, "Sure:\n\n"); }},
    {"ask, from further back",
     [](const std::string& sent, const std::string& whole) {
       const std::size_t anchor = anchor_of(sent).size();
       const std::size_t from = sent.size() - std::min(sent.size(), anchor + 30);
       return by_asking(sent, whole, sent.substr(from, sent.size() - anchor - from));
     }},
    {"replay", [](const std::string& sent, const std::string& whole) { return joined(sent, Splice("", sent), whole); }},
};

TEST(Seam, is_exact_wherever_an_answer_is_cut_or_the_client_is_told) {
  for (const auto& [kind, whole] : texts()) {
    ASSERT_EQ(token_ends(whole).back(), whole.size());
    for (const Way& way : kWays) {
      int exact = 0;
      int told = 0;
      for (const std::size_t cut : token_ends(whole)) {
        if (cut == whole.size()) break;
        const std::string sent = whole.substr(0, cut);
        const std::optional<std::string> got = way.go_on(sent, whole);
        EXPECT_EQ(got.value_or(whole), whole) << kind << ", " << way.name << ", cut at " << cut << ": " << sent;
        ++(got ? exact : told);
      }
      if (way.name == std::string_view("replay")) EXPECT_EQ(told, 0) << kind;
      RecordProperty(kind + " " + way.name, std::to_string(exact) + " exact, " + std::to_string(told) + " told");
    }
  }
}

// Honest code and prose go on nearly everywhere: what is refused is what nobody could put together.
TEST(Seam, ordinary_text_is_gone_on_with) {
  for (const auto& [kind, whole] : texts()) {
    if (kind != "python" && kind != "yaml" && kind != "go" && kind != "chinese" && kind != "prose" && kind != "crlf")
      continue;
    for (const Way& way : {kWays[0], kWays[5]}) {
      int exact = 0;
      int all = 0;
      for (const std::size_t cut : token_ends(whole)) {
        if (cut < 40 || cut == whole.size()) continue;
        ++all;
        exact += way.go_on(whole.substr(0, cut), whole).has_value() ? 1 : 0;
      }
      EXPECT_GE(exact, all * 9 / 10) << kind << ", " << way.name << ": " << exact << " of " << all;
    }
  }
}

}  // namespace
}  // namespace spillway::attempt
