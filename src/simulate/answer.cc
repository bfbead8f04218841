#include "simulate/answer.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>

#include "simulate/dice.h"

namespace spillway::simulate {

namespace {

// Words of one and of several tokens, signs of other scripts, and what repeats itself: the hard cases of putting two
// halves of an answer together.
constexpr std::array<std::string_view, 40> kWords{
    "the",  "sky",      "is",      "blue",   "because", "short",    "waves",      "scatter", "more",   "than",
    "long", "ones",     "and",     "so",     "no",      "no",       "we",         "see",     "it",     "overload",
    "of",   "every",    "request", "answer", "tokens",  "provider", "throughput", "naïve",   "café",   "2.5",
    "a",    "Spillway", "don't",   "e.g.",   "天空",    "是蓝色的", "因为",       "散射",    "哈哈哈", "🦀"};

std::string made_up(std::string_view subject, const Profile& profile, std::size_t tokens) {
  Dice dice(hash_of(subject) ^ profile.seed);
  std::string out;
  std::size_t words = 0;
  std::size_t made = 0;
  while (made < tokens) {
    const std::string_view word = kWords[dice.below(kWords.size())];
    const std::string piece = (out.empty() || out.back() == '\n' ? "" : " ") + std::string(word);
    const std::string end = ++words % 12 == 0 ? (words % 48 == 0 ? ".\n" : ".") : words % 7 == 0 ? "," : "";
    made += tokenize(piece + end).size();
    out += piece + end;
  }
  return out;
}

std::string whole_text(const Question& question, const Profile& profile) {
  std::string text = profile.text.empty() ? made_up(question.subject, profile, static_cast<std::size_t>(profile.tokens))
                                          : profile.text;
  return question.wants_json ? nlohmann::json({{"answer", text}}).dump() : text;
}

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

// What follows `prefix`, of a model that would have said `whole`.
std::string rest_behind(const std::string& prefix, const std::string& whole, const Question& question,
                        const Profile& profile) {
  if (whole.starts_with(prefix)) return whole.substr(prefix.size());
  // A part whose end was trimmed goes on with that end.
  std::size_t end = prefix.size();
  while (end > 0 && is_space(prefix[end - 1])) --end;
  if (whole.starts_with(prefix.substr(0, end))) return whole.substr(end);
  return " " + made_up(question.subject + prefix, profile, static_cast<std::size_t>(profile.tokens) / 2);
}

}  // namespace

std::int64_t Answer::completion_tokens() const {
  std::size_t count = reasoning.size() + text.size();
  for (const Call& call : calls) count += 1 + call.arguments.size();
  return static_cast<std::int64_t>(count);
}

Answer make_answer(const Question& question, const Profile& profile, std::uint64_t number, long long created) {
  Answer out;
  out.id = "chatcmpl-sim-" + std::to_string(number);
  out.model = profile.model;
  out.created = created;
  out.prompt_tokens = question.prompt_tokens;
  out.finish = "stop";
  const std::string whole = whole_text(question, profile);
  if (question.form.empty()) {
    out.text = tokenize(whole);
  } else {
    out.text = tokenize(question.anchor + rest_behind(question.prefix, whole, question, profile));
  }
  if (question.thinks && question.form.empty() && profile.reasoning_tokens > 0) {
    out.reasoning = tokenize(
        made_up("thinking of " + question.subject, profile, static_cast<std::size_t>(profile.reasoning_tokens)));
    out.reasoning.resize(std::min(out.reasoning.size(), static_cast<std::size_t>(profile.reasoning_tokens)));
  }
  if (!question.tool.empty()) {
    for (int i = 0; i < profile.tool_calls; ++i) {
      const std::string arguments =
          nlohmann::json({{"query", made_up(question.subject + std::to_string(i), profile, 8)}}).dump();
      out.calls.push_back({"call_" + std::to_string(i), question.tool, tokenize(arguments)});
    }
    if (!out.calls.empty()) out.finish = "tool_calls";
  }
  if (question.max_tokens >= 0 && out.completion_tokens() > question.max_tokens) {
    const auto limit = static_cast<std::size_t>(question.max_tokens);
    out.calls.clear();
    out.reasoning.resize(std::min(out.reasoning.size(), limit));
    out.text.resize(std::min(out.text.size(), limit - out.reasoning.size()));
    out.finish = "length";
  }
  return out;
}

}  // namespace spillway::simulate
