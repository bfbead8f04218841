// A stream says the same whatever becomes of it: read as it is passed on, put together, translated to any Dialect, and
// translated and put together. Random legal streams; SPILLWAY_STREAMS says how many.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "api/assembler.h"
#include "api/format.h"
#include "base/json_text.h"

namespace spillway::api {
namespace {

struct Call {
  std::string name;
  std::string arguments;
  bool operator==(const Call&) const = default;
};
struct Said {
  std::string text;
  std::string reasoning;
  std::vector<Call> calls;
  Finish finish = Finish::kStop;
  std::int64_t output = 0;
};

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  std::size_t below(std::size_t end) { return random_() % end; }
  bool one_in(std::size_t n) { return below(n) == 0; }
  template <std::size_t N>
  std::string one_of(const char* const (&words)[N]) {
    return words[below(N)];
  }

 private:
  std::mt19937_64 random_;
};

// JSON texts of a string's inside; what they say is what json::unescaped() says of all of them together.
std::vector<std::string> pieces(Dice& dice, std::size_t most) {
  constexpr const char* kWords[] = {"the ",    " sky",          "蓝",     "\\u84dd", "\\n",       "\\\"", "\\\\",
                                    "🦀",      "\\/",           "",       " ",       "\\t",       "é",    "{\\\"a\\\"",
                                    "data: x", "\\u0000",       "\\r\\n", "]]>",     "\\\\u0041", "```",  "null",
                                    "[DONE]",  "\\ud83d\\ude00"};
  std::vector<std::string> out;
  for (std::size_t i = dice.below(most); i > 0; --i) {
    std::string piece;
    for (std::size_t words = 1 + dice.below(3); words > 0; --words) piece += dice.one_of(kWords);
    if (dice.one_in(12)) {  // a character in two halves
      out.push_back(piece + "\\ud83d");
      out.emplace_back("\\ude00");
      continue;
    }
    out.push_back(std::move(piece));
  }
  return out;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

// Members that nobody knows.
std::string more(Dice& dice) {
  constexpr const char* kOdd[] = {"",
                                  "",
                                  "",
                                  R"(,"x":NaN)",
                                  R"(,"x":[-Infinity,{"y":1e999}])",
                                  R"(,"x":"\ud83d")",
                                  R"(,"x":123456789012345678901234567890)",
                                  R"(,"x":{"content":"not this","text":"nor this"})",
                                  R"(,"x":null)",
                                  R"(, "x" : [ [ [ ] ] ] )",
                                  R"(,"\u0078":"\"}")"};
  return dice.one_of(kOdd);
}

struct Event {
  std::string type;
  std::string data;
};
using Events = std::vector<Event>;

std::string noise(Dice& dice) {
  constexpr const char* kNoise[] = {"null", "{}", R"({"type":"ping"})", R"({"cost":0.1})", "7", R"("x")", "[]"};
  return dice.one_of(kNoise);
}

struct Plan {
  std::vector<std::string> text;
  std::vector<std::string> reasoning;
  struct Call {
    std::string name;
    std::vector<std::string> arguments;
  };
  std::vector<Call> calls;
  Finish finish = Finish::kStop;
  std::int64_t output = 1;
};

Plan make_plan(Dice& dice) {
  Plan plan;
  plan.text = pieces(dice, 12);
  if (dice.one_in(3)) plan.reasoning = pieces(dice, 6);
  if (dice.one_in(2)) {
    for (std::size_t i = 1 + dice.below(3); i > 0; --i) {
      Plan::Call call{.name = dice.one_of({"look_up", "f", "get_weather"}), .arguments = {}};
      const std::string whole = dice.one_of({"", R"({\"a\":1})", R"({\"city\":\"Paris \\\"west\\\"\",\"n\":[1,2]})",
                                             R"({ \"\\u0061\" : \"\\ud83d\\ude00\" })"});
      for (std::size_t at = 0; at < whole.size();) {
        std::size_t end = std::min(at + 1 + dice.below(8), whole.size());
        while (end < whole.size() && (whole[end - 1] == '\\' || whole[end - 1] == 'u')) ++end;  // no escape is cut
        call.arguments.push_back(whole.substr(at, end - at));
        at = end;
      }
      plan.calls.push_back(std::move(call));
    }
    plan.finish = Finish::kToolCalls;
  } else if (dice.one_in(4)) {
    plan.finish = Finish::kLength;
  }
  plan.output = static_cast<std::int64_t>(1 + dice.below(1000));
  return plan;
}

Said expected(const Plan& plan) {
  Said said{json::unescaped(joined(plan.text)), json::unescaped(joined(plan.reasoning)), {}, plan.finish, plan.output};
  for (const Plan::Call& call : plan.calls) {
    const std::string arguments = json::unescaped(joined(call.arguments));
    said.calls.push_back({call.name, arguments.empty() ? "{}" : arguments});
  }
  return said;
}

std::string numbered(std::string_view prefix, std::size_t i) { return std::string(prefix) + std::to_string(i); }

Events chat_events(const Plan& plan, Dice& dice) {
  Events events;
  const auto chunk = [&](const std::string& delta, const std::string& finish = "null") {
    if (dice.one_in(10)) events.push_back({dice.one_in(2) ? "" : "ping", noise(dice)});
    events.push_back({"", R"({"id":"c","object":"chat.completion.chunk","created":5,"model":"m")" + more(dice) +
                              R"(,"choices":[{"index":0,"delta":{)" + delta + (delta.empty() ? "" : more(dice)) +
                              R"(},"finish_reason":)" + finish + more(dice) + "}]}"});
  };
  if (!dice.one_in(5)) chunk(R"("role":"assistant","content":"")");
  const std::string reasoning = dice.one_in(2) ? "reasoning" : "reasoning_content";
  for (const std::string& piece : plan.reasoning) chunk("\"" + reasoning + "\":\"" + piece + "\"");
  for (const std::string& piece : plan.text) chunk(R"("content":")" + piece + "\"");
  // Pieces of several calls, in any order that keeps each call's own.
  std::vector<std::size_t> next(plan.calls.size());
  const bool interleaves = dice.one_in(3);
  const bool repeats = dice.one_in(3);
  for (std::size_t begun = 0, done = 0; done < plan.calls.size();) {
    std::size_t i =
        interleaves && begun > 0 ? dice.below(std::min(begun + 1, plan.calls.size())) : std::min(done, begun);
    const Plan::Call& call = plan.calls[i];
    const std::string names = R"("id":")" + numbered("call_", i) + R"(","type":"function",)";
    if (i == begun) {
      chunk(R"("tool_calls":[{"index":)" + std::to_string(i) + "," + names + R"("function":{"name":")" + call.name +
            R"(","arguments":""}}])");
      ++begun;
    } else if (next[i] < call.arguments.size()) {
      chunk(R"("tool_calls":[{"index":)" + std::to_string(i) + "," + (repeats ? names : "") + R"("function":{)" +
            (repeats ? R"("name":")" + call.name + "\"," : "") + R"("arguments":")" + call.arguments[next[i]++] +
            R"("}}])");
    }
    while (done < begun && next[done] == plan.calls[done].arguments.size()) ++done;
  }
  const char* const word = plan.finish == Finish::kLength ? "\"length\""
                           : plan.calls.empty()           ? "\"stop\""
                                                          : "\"tool_calls\"";
  chunk("", word);
  events.push_back({"", R"({"id":"c","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":)" +
                            std::to_string(plan.output) + "}}"});
  events.push_back({"", "[DONE]"});
  return events;
}

Events messages_events(const Plan& plan, Dice& dice) {
  Events events;
  std::size_t blocks = 0;
  const auto event = [&](const std::string& type, const std::string& members) {
    if (dice.one_in(10)) events.push_back({"ping", R"({"type":"ping"})"});
    events.push_back({type, R"({"type":")" + type + "\"" + more(dice) + (members.empty() ? "" : ",") + members + "}"});
  };
  const auto start = [&](std::size_t index, const std::string& block) {
    event("content_block_start", R"("index":)" + std::to_string(index) + R"(,"content_block":)" + block);
  };
  const auto delta = [&](std::size_t index, const std::string& members) {
    event("content_block_delta", R"("index":)" + std::to_string(index) + R"(,"delta":{)" + members + more(dice) + "}");
  };
  const auto stop = [&](std::size_t index) { event("content_block_stop", R"("index":)" + std::to_string(index)); };
  event(
      "message_start",
      R"("message":{"id":"c","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,"usage":{"input_tokens":3,"output_tokens":1}})");
  if (!plan.reasoning.empty()) {
    start(blocks, R"({"type":"thinking","thinking":"","signature":""})");
    for (const std::string& piece : plan.reasoning)
      delta(blocks, R"("type":"thinking_delta","thinking":")" + piece + "\"");
    delta(blocks, R"("type":"signature_delta","signature":"c2ln")");
    stop(blocks++);
  }
  if (!plan.text.empty()) {
    start(blocks, R"({"type":"text","text":""})");
    for (const std::string& piece : plan.text) delta(blocks, R"("type":"text_delta","text":")" + piece + "\"");
    stop(blocks++);
  }
  const bool interleaves = dice.one_in(3);
  const auto begin = [&](std::size_t i) {
    start(blocks + i, R"({"type":"tool_use","id":")" + numbered("toolu_", i) + R"(","name":")" + plan.calls[i].name +
                          R"(","input":{}})");
  };
  const auto say = [&](std::size_t i, const std::string& piece) {
    delta(blocks + i, R"("type":"input_json_delta","partial_json":")" + piece + "\"");
  };
  if (interleaves) {
    for (std::size_t i = 0; i < plan.calls.size(); ++i) begin(i);
    std::vector<std::size_t> next(plan.calls.size());
    for (bool any = true; std::exchange(any, false);) {
      for (std::size_t i = 0; i < plan.calls.size(); ++i) {
        if (next[i] == plan.calls[i].arguments.size()) continue;
        say(i, plan.calls[i].arguments[next[i]++]);
        any = true;
      }
    }
    for (std::size_t i = 0; i < plan.calls.size(); ++i) stop(blocks + i);
  } else {
    for (std::size_t i = 0; i < plan.calls.size(); ++i) {
      begin(i);
      say(i, "");
      for (const std::string& piece : plan.calls[i].arguments) say(i, piece);
      stop(blocks + i);
    }
  }
  const char* const word = plan.finish == Finish::kLength ? "max_tokens" : plan.calls.empty() ? "end_turn" : "tool_use";
  event("message_delta", R"("delta":{"stop_reason":")" + std::string(word) +
                             R"(","stop_sequence":null},"usage":{"output_tokens":)" + std::to_string(plan.output) +
                             "}");
  event("message_stop", "");
  return events;
}

Events ollama_events(const Plan& plan, Dice& dice) {
  Events events;
  const auto line = [&](const std::string& message, const std::string& rest) {
    if (dice.one_in(10)) events.push_back({"", noise(dice)});
    events.push_back({"", R"({"model":"m","created_at":"2026-11-24T10:00:00Z")" + more(dice) +
                              R"(,"message":{"role":"assistant",)" + message + more(dice) + "}," + rest + "}"});
  };
  for (const std::string& piece : plan.reasoning) line(R"("content":"","thinking":")" + piece + "\"", "\"done\":false");
  for (const std::string& piece : plan.text) line(R"("content":")" + piece + "\"", "\"done\":false");
  for (const Plan::Call& call : plan.calls) {
    const std::string arguments = json::unescaped(joined(call.arguments));
    line(R"("content":"","tool_calls":[{"function":{"name":")" + call.name + R"(","arguments":)" +
             (arguments.empty() ? "{}" : arguments) + "}}]",
         "\"done\":false");
  }
  line("\"content\":\"\"", R"("done":true,"done_reason":")" +
                               std::string(plan.finish == Finish::kLength ? "length" : "stop") +
                               R"(","prompt_eval_count":3,"eval_count":)" + std::to_string(plan.output));
  return events;
}

Said said_by(const Parts& parts) {
  std::string text;
  std::string reasoning;
  std::vector<std::pair<std::int64_t, std::string>> arguments;
  Said said;
  for (const Part& part : parts) {
    switch (part.kind) {
      case PartKind::kText: text += part.text; break;
      case PartKind::kReasoning: reasoning += part.text; break;
      case PartKind::kCall:
        said.calls.push_back({json::unescaped(part.name), {}});
        arguments.emplace_back(part.index, "");
        break;
      case PartKind::kArguments:
        for (auto& [index, all] : arguments) {
          if (index == part.index) all += part.text;
        }
        break;
      case PartKind::kFinish: said.finish = part.finish; break;
      case PartKind::kUsage:
        if (part.usage.output >= 0) said.output = part.usage.output;
        break;
      default: break;
    }
  }
  said.text = json::unescaped(text);
  said.reasoning = json::unescaped(reasoning);
  for (std::size_t i = 0; i < said.calls.size(); ++i) {
    said.calls[i].arguments = json::unescaped(arguments[i].second);
    if (said.calls[i].arguments.empty()) said.calls[i].arguments = "{}";
  }
  return said;
}

// Of a written stream of either framing.
Events events_of(const std::string& out) {
  Events events;
  std::string type;
  for (std::size_t at = 0; at < out.size();) {
    const std::size_t end = out.find('\n', at);
    const std::string line = out.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("event: ")) type = line.substr(7);
    if (line.starts_with("data: ")) events.push_back({std::exchange(type, {}), line.substr(6)});
    if (line.starts_with("{")) events.push_back({"", line});
  }
  return events;
}

Parts read_all(const Format& format, const Events& events, StreamFacts& facts, bool& done) {
  Parts parts;
  const auto reader = format.reader();
  for (const Event& event : events) {
    const Chunk chunk = reader->read(event.type, event.data, facts, &parts);
    EXPECT_NE(chunk.kind, Chunk::Kind::kGarbage) << event.data;
    EXPECT_NE(chunk.kind, Chunk::Kind::kError) << event.data;
    done |= chunk.kind == Chunk::Kind::kDone;
  }
  return parts;
}

// What a whole Responses answer says, which nobody reads but clients.
Said said_in_response(const std::string& whole) {
  Said said;
  JsonTree tree;
  EXPECT_TRUE(tree.parse(whole)) << whole;
  for (const JsonTree::Value item : tree.root()["output"]) {
    const std::string_view type = item["type"].escaped();
    for (const JsonTree::Value part : item["content"])
      (type == "message" ? said.text : said.reasoning) += part["text"].text();
    if (type == "function_call") said.calls.push_back({item["name"].text(), item["arguments"].text()});
  }
  said.finish = tree.root()["status"].escaped() == "incomplete" ? Finish::kLength : Finish::kStop;
  said.output = tree.root()["usage"]["output_tokens"].integer().value_or(-1);
  return said;
}

std::string assembled(const Format& format, const Events& events) {
  Assembler assembler(format.rules());
  for (const Event& event : events) assembler.add(event.data);
  return assembler.answer();
}

void expect_alike(const Said& got, const Said& wanted, const std::string& how, bool exact_finish = true) {
  EXPECT_EQ(got.text, wanted.text) << how;
  EXPECT_EQ(got.reasoning, wanted.reasoning) << how;
  ASSERT_EQ(got.calls.size(), wanted.calls.size()) << how;
  for (std::size_t i = 0; i < got.calls.size(); ++i) {
    EXPECT_EQ(got.calls[i].name, wanted.calls[i].name) << how;
    // As JSON: a Dialect that has an object there has it without the white space around it.
    JsonTree a;
    JsonTree b;
    ASSERT_TRUE(a.parse(got.calls[i].arguments)) << how << ": " << got.calls[i].arguments;
    ASSERT_TRUE(b.parse(wanted.calls[i].arguments));
    EXPECT_EQ(a.root().raw(), b.root().raw()) << how;
  }
  if (exact_finish) EXPECT_EQ(got.finish, wanted.finish) << how;
  EXPECT_EQ(got.output, wanted.output) << how;
}

TEST(Alike, passed_on_translated_and_put_together_say_the_same) {
  const char* const wish = std::getenv("SPILLWAY_STREAMS");
  const std::uint64_t streams = wish != nullptr ? std::strtoull(wish, nullptr, 10) : 2'000;
  constexpr Endpoint kFrom[] = {Endpoint::kChat, Endpoint::kMessages, Endpoint::kOllamaChat};
  constexpr Endpoint kTo[] = {Endpoint::kChat, Endpoint::kMessages, Endpoint::kOllamaChat, Endpoint::kResponses};
  for (std::uint64_t seed = 1; seed <= streams && !::testing::Test::HasFailure(); ++seed) {
    Dice dice(seed);
    const Plan plan = make_plan(dice);
    const Said wanted = expected(plan);
    const Endpoint endpoint = kFrom[dice.below(3)];
    const Format& from = format_of(endpoint);
    const Events events = endpoint == Endpoint::kChat       ? chat_events(plan, dice)
                          : endpoint == Endpoint::kMessages ? messages_events(plan, dice)
                                                            : ollama_events(plan, dice);
    const std::string how = "stream " + std::to_string(seed) + ", " + std::string(row_of(endpoint).path);
    StreamFacts facts;
    bool done = false;
    const Parts parts = read_all(from, events, facts, done);
    EXPECT_EQ(facts.text, wanted.text) << how;
    EXPECT_TRUE(facts.finished()) << how;
    EXPECT_EQ(facts.calls, !wanted.calls.empty()) << how;
    expect_alike(said_by(parts), wanted, how);
    Parts whole;
    const std::string own = assembled(from, events);
    const Answer answer = from.read_answer(own, &whole);
    ASSERT_EQ(answer.kind, Answer::Kind::kGood) << how << ": " << own;
    expect_alike(said_by(whole), wanted, how + ", put together");
    for (const Endpoint other : kTo) {
      const Format& to = format_of(other);
      const std::string way = how + " to " + std::string(row_of(other).path);
      WriterSettings settings;
      settings.id = "id";
      settings.model = "model";
      settings.request_body = "{}";
      const auto writer = to.writer(settings);
      std::string out;
      for (const Part& part : parts) writer->append(out, part);
      writer->end(out);
      const Events written = events_of(out);
      const std::string together = assembled(to, written);
      if (other == Endpoint::kResponses) {
        expect_alike(said_in_response(together), wanted, way, wanted.finish == Finish::kLength);
        continue;
      }
      StreamFacts again;
      bool ended = false;
      const Parts read = read_all(to, written, again, ended);
      expect_alike(said_by(read), wanted, way);
      EXPECT_TRUE(again.finished()) << way;
      EXPECT_TRUE(ended || other == Endpoint::kOllamaChat) << way;
      Parts whole_parts;
      ASSERT_EQ(to.read_answer(together, &whole_parts).kind, Answer::Kind::kGood) << way << ": " << together;
      expect_alike(said_by(whole_parts), wanted, way + ", put together");
    }
  }
}

}  // namespace
}  // namespace spillway::api
