#include "api/openai/chat_reader.h"

#include <algorithm>
#include <utility>

#include "api/json_reading.h"
#include "api/openai/chat_format.h"
#include "api/tool_calls.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

Finish meaning_of(std::string_view word) {
  if (word == "length") return Finish::kLength;
  if (word == "tool_calls" || word == "function_call") return Finish::kToolCalls;
  if (word == "content_filter") return Finish::kContentFilter;
  return Finish::kStop;
}

// The finish_reason; empty where there is none yet: null, "" (SGLang, old Ollama) or "null".
std::string_view finish_of(Value reason) {
  const std::string_view word = reason.escaped();
  return word == "null" ? std::string_view() : word;
}

// With these an answer without content is one; a bare stop without anything is none.
bool makes_an_answer(std::string_view finish) {
  return finish == "length" || finish == "content_filter" || finish == "tool_calls" || finish == "function_call";
}

bool is_reasoning(std::string_view key) { return key.starts_with("reasoning") || key.starts_with("thinking"); }

// A message or a delta: both name what they carry alike. Whatever it has besides its role is content; providers invent
// names for it faster than a list could follow (images, reasoning_details, thinking_blocks).
struct Carried {
  bool something = false;
  bool role = false;
  bool opaque = false;  // what is neither text nor reasoning
  Value calls;
  Value function_call;  // the form before tool_calls
  std::string_view text;
};

Carried read_carried(Value message) {
  Carried carried;
  for (const Value member : message) {
    const std::string_view key = member.key();
    if (key == "role") {
      carried.role = static_cast<bool>(member);
      continue;
    }
    if (!carries_something(member)) continue;
    carried.something = true;
    if (key == "content") {
      carried.text = member.escaped();
      carried.opaque |= !member.is(Type::kString);
    } else if (key == "tool_calls") {
      carried.calls = member;
    } else if (key == "function_call") {
      carried.function_call = member;
    } else {
      carried.opaque |= !is_reasoning(key);
    }
  }
  return carried;
}

void add_text(Parts& out, PartKind kind, std::string_view escaped) {
  if (!escaped.empty()) out.push_back({.kind = kind, .text = std::string(escaped)});
}

// Mistral's list of parts.
void add_content(Value content, Parts& out) {
  add_text(out, PartKind::kText, content.escaped());
  if (!content.is(Type::kArray)) return;
  for (const Value part : content) {
    if (part["type"].escaped() == "text") add_text(out, PartKind::kText, part["text"].escaped());
    for (const Value thought : part["thinking"]) add_text(out, PartKind::kReasoning, thought["text"].escaped());
  }
}

// Where a piece of a call belongs. Some servers give the arguments as the object that they are.
ToolCalls::Piece piece_of(Value call, std::string& scratch) {
  const Value function = call["function"];
  const Value arguments = function["arguments"];
  ToolCalls::Piece piece{call["index"].integer(), call["id"].escaped(), function["name"].escaped(),
                         arguments.escaped()};
  if (arguments.is(Type::kObject) || arguments.is(Type::kArray)) piece.arguments = scratch = escaped(arguments.raw());
  return piece;
}

constexpr std::int64_t kFunctionCall = -1;  // the index of a call of the old form

class ChatReader final : public EventReader {
 public:
  Chunk read(std::string_view type, std::string_view data, StreamFacts& facts, Parts* parts) override {
    Chunk chunk;
    data = without_white_space_behind(data);
    if (data == "[DONE]") {
      chunk.kind = Chunk::Kind::kDone;
      return chunk;
    }
    thread_local JsonTree tree;
    switch (tree.look_at(data)) {
      case JsonTree::Found::kObject: chunk = read_object(tree.root(), facts); break;
      case JsonTree::Found::kOther: chunk.kind = Chunk::Kind::kNoise; break;
      case JsonTree::Found::kSeveral: chunk.kind = Chunk::Kind::kSeveral; break;
      case JsonTree::Found::kNothing: break;
    }
    if (chunk.kind == Chunk::Kind::kChunk) {
      if (parts != nullptr) add_parts(tree.root(), "delta", *parts);
    } else if (!type.empty() && type != "message" && type != "error") {
      chunk.kind = Chunk::Kind::kNoise;  // "ping": whatever it holds is no failure
    }
    return chunk;
  }

  void add_parts(Value chunk, std::string_view inside, Parts& out) {
    if (!std::exchange(started_, true)) {
      const std::string_view id = chunk["id"].escaped();
      calls_.of_answer(id);
      out.push_back({.kind = PartKind::kStart, .id = std::string(id), .name = std::string(chunk["model"].escaped())});
    }
    for (const Value choice : chunk["choices"]) {
      if (choice["index"].integer().value_or(0) != 0) continue;
      add_message(choice[inside], inside == "message", out);
      if (const Value logprobs = choice["logprobs"]["content"]; logprobs.is(Type::kArray))
        out.push_back({.kind = PartKind::kLogprobs, .text = std::string(logprobs.raw())});
      if (const std::string_view finish = finish_in(choice); !finish.empty())
        out.push_back({.kind = PartKind::kFinish, .finish = meaning_of(finish)});
    }
    if (const Value usage = chunk["usage"]) out.push_back({.kind = PartKind::kUsage, .usage = read_usage(usage)});
  }

 private:
  static Chunk read_object(Value object, StreamFacts& facts) {
    Chunk chunk;
    const bool with_identity = facts.id.empty();
    bool choices_seen = false;
    for (const Value member : object) {
      const std::string_view key = member.key();
      if (key == "choices") {
        if (!member) continue;
        if (!member.is(Type::kArray)) return chunk;
        choices_seen = true;
        for (const Value choice : member) {
          if (!choice.is(Type::kObject) || !read_choice(choice, facts, chunk)) return chunk;
        }
        if (chunk.token) facts.count_token();
      } else if (key == "error") {
        if (is_void_error(member)) continue;
        chunk.kind = Chunk::Kind::kError;
        chunk.error = error_of(member);
        return chunk;
      } else if (key == "usage") {
        chunk.usage = static_cast<bool>(member);
        facts.counted |= member["completion_tokens"].integer().value_or(0) > 0;
      } else if (with_identity && key == "id") {
        if (member.is(Type::kString)) facts.id = member.text();
      } else if (with_identity && key == "model") {
        if (member.is(Type::kString)) facts.model = member.text();
      } else if (with_identity && key == "created") {
        facts.created = member.integer().value_or(facts.created);
      }
    }
    chunk.kind = choices_seen || chunk.usage ? Chunk::Kind::kChunk : Chunk::Kind::kNoise;
    return chunk;
  }

  // False: there are too many, or their calls are too large.
  static bool read_choice(Value object, StreamFacts& facts, Chunk& chunk) {
    std::int64_t index = 0;
    std::string_view finish;
    Carried carried;
    for (const Value member : object) {
      const std::string_view key = member.key();
      if (key == "index") index = member.integer().value_or(0);
      if (key == "finish_reason") finish = finish_of(member);
      if (key == "delta") carried = read_carried(member);
    }
    bool is_new = false;
    StreamFacts::Choice* const choice = choice_of(facts, index, is_new);
    if (choice == nullptr) return false;
    if (is_new && !carried.role) chunk.without_role = index;
    const bool old_call = static_cast<bool>(carried.function_call);
    const bool has_calls = static_cast<bool>(carried.calls);
    choice->role |= carried.role || is_new;  // a missing one is added
    choice->finish |= !finish.empty();
    choice->tool_calls |= has_calls;
    choice->function_call |= old_call;
    chunk.token |= carried.something;
    facts.opaque |= carried.opaque || index != 0;
    facts.calls |= has_calls || old_call;
    facts.call_bytes += carried.calls.raw().size() + carried.function_call.raw().size();
    if (index == 0) facts.add_text(carried.text);
    facts.counted |= makes_an_answer(finish);
    return facts.call_bytes <= StreamFacts::kMaxCalls;
  }

  void add_message(Value message, bool is_whole, Parts& out) {
    for (const Value member : message) {
      const std::string_view key = member.key();
      if (key == "content") {
        add_content(member, out);
      } else if (key == "reasoning_content" || key == "reasoning") {
        add_text(out, PartKind::kReasoning, member.escaped());
      } else if (key == "refusal") {
        add_text(out, PartKind::kRefusal, member.escaped());
      } else if (key == "tool_calls") {
        std::int64_t place = 0;
        for (const Value call : member) {
          ToolCalls::Piece piece = piece_of(call, scratch_);
          if (is_whole) piece.index = place++;  // each is a call of its own
          calls_.add(piece, out);
        }
      } else if (key == "function_call" && member) {
        const Value arguments = member["arguments"];
        if (!arguments.is(Type::kString)) scratch_ = escaped(arguments.raw());
        calls_.add({kFunctionCall,
                    {},
                    member["name"].escaped(),
                    arguments.is(Type::kString) ? arguments.escaped() : std::string_view(scratch_)},
                   out);
      }
    }
  }

  ToolCalls calls_;
  std::string scratch_;
  bool started_ = false;
};

class ChatRules final : public AnswerRules {
 public:
  void add(Value chunk, JsonDraft& answer) override {
    if (answer.count(JsonDraft::kRoot) == 0) {
      answer.set_json(answer.member(JsonDraft::kRoot, "id"), "\"\"");
      answer.set_json(answer.member(JsonDraft::kRoot, "object"), "\"chat.completion\"");
    }
    for (const Value member : chunk) {
      const std::string_view key = member.key();
      if (key == "choices") {
        for (const Value choice : member) {
          if (choice.is(Type::kObject)) add_choice(choice, answer);
        }
        continue;
      }
      if (key == "object") continue;
      const bool names = key == "id" || key == "model" || key == "created";
      const bool is_first = key == "id" ? member && !std::exchange(has_id_, true)
                                        : answer.find(JsonDraft::kRoot, key) == JsonDraft::kNone;
      if (is_first || (member && !names)) answer.set(answer.member(JsonDraft::kRoot, key), member);
    }
  }

  void finish(JsonDraft& answer) override {
    const JsonDraft::Place choices = answer.find(JsonDraft::kRoot, "choices");
    if (choices == JsonDraft::kNone) answer.set_json(answer.member(JsonDraft::kRoot, "choices"), "[]");
    const std::string id(answer.escaped(answer.member(JsonDraft::kRoot, "id")));
    for (std::size_t i = 0; i < choices_.size(); ++i) {
      const JsonDraft::Place message = answer.member(answer.element(choices, i), "message");
      const JsonDraft::Place calls = answer.find(message, "tool_calls");
      if (calls == JsonDraft::kNone) continue;
      for (std::size_t place = 0; place < answer.count(calls); ++place)
        complete(answer, answer.element(calls, place), id, place);
    }
  }

 private:
  struct Choice {
    std::int64_t index;
    ToolCalls calls;
  };

  static void complete(JsonDraft& answer, JsonDraft::Place call, std::string_view id, std::size_t place) {
    answer.erase(call, "index");
    if (const auto at = answer.member(call, "id"); answer.escaped(at).empty())
      answer.set_json(at, "\"" + ToolCalls::made_id(id, place) + "\"");
    if (const auto at = answer.member(call, "type"); answer.is_null(at)) answer.set_json(at, "\"function\"");
    const JsonDraft::Place arguments = answer.member(answer.member(call, "function"), "arguments");
    if (answer.is_null(arguments) || answer.is_empty_text(arguments)) answer.set_json(arguments, "\"{}\"");
  }

  void add_choice(Value part, JsonDraft& answer) {
    const std::int64_t index = part["index"].integer().value_or(0);
    auto known = std::ranges::lower_bound(choices_, index, {}, &Choice::index);
    const JsonDraft::Place list = answer.member(JsonDraft::kRoot, "choices");
    const auto at = static_cast<std::size_t>(known - choices_.begin());
    if (known == choices_.end() || known->index != index) {
      if (choices_.size() == StreamFacts::kMaxChoices) return;
      known = choices_.insert(known, Choice{index, {}});
      const JsonDraft::Place made = answer.insert(list, at);
      answer.set_json(answer.member(made, "index"), std::to_string(index));
      answer.set_json(answer.member(made, "message"), R"({"role":"assistant","content":null})");
    }
    const JsonDraft::Place choice = answer.element(list, at);
    for (const Value member : part) {
      const std::string_view key = member.key();
      if (key == "index") continue;
      if (key == "delta") {
        add_delta(member, known->calls, answer.member(choice, "message"), answer);
      } else if (key == "finish_reason") {
        if (!finish_in(part).empty()) answer.set(answer.member(choice, key), member);
      } else {
        answer.merge(answer.member(choice, key), member);
      }
    }
  }

  void add_delta(Value delta, ToolCalls& calls, JsonDraft::Place message, JsonDraft& answer) {
    for (const Value member : delta) {
      if (!member.is(Type::kArray) || member.key() != "tool_calls") {
        answer.merge(answer.member(message, member.key()), member);
        continue;
      }
      for (const Value call : member) {
        if (!call.is(Type::kObject)) continue;
        const std::size_t place = calls.place_of(piece_of(call, scratch_));
        const JsonDraft::Place list = answer.member(message, member.key());
        JsonDraft::Place into = answer.element(list, place);
        if (into == JsonDraft::kNone) into = answer.insert(list, place);
        answer.merge(into, call);
      }
    }
  }

  std::vector<Choice> choices_;  // by their index
  std::string scratch_;
  bool has_id_ = false;
};

}  // namespace

std::string_view finish_in(Value choice) { return finish_of(choice["finish_reason"]); }

StreamFacts::Choice* choice_of(StreamFacts& facts, std::int64_t index, bool& is_new) {
  is_new = false;
  for (StreamFacts::Choice& choice : facts.choices) {
    if (choice.index == index) return &choice;
  }
  if (facts.choices.size() == StreamFacts::kMaxChoices) return nullptr;
  is_new = true;
  facts.choices.push_back({});
  facts.choices.back().index = index;
  return &facts.choices.back();
}

std::unique_ptr<EventReader> chat_reader() { return std::make_unique<ChatReader>(); }
std::unique_ptr<AnswerRules> chat_rules() { return std::make_unique<ChatRules>(); }

Answer read_chat_answer(std::string_view body, Parts* parts) {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(body)) return answer;
  const Value object = tree.root();
  const Value choices = object["choices"];
  bool something = object["usage"]["completion_tokens"].integer().value_or(0) > 0;
  if (const Value error = object["error"]; !is_void_error(error)) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_of(error);
    return answer;
  }
  if (!choices.is(Type::kArray)) return answer;
  for (const Value choice : choices) {
    if (!choice.is(Type::kObject)) return answer;
    something |= read_carried(choice["message"]).something || makes_an_answer(finish_in(choice));
  }
  answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
  if (something && parts != nullptr) ChatReader().add_parts(object, "message", *parts);
  return answer;
}

std::string role_event(const StreamFacts& facts, std::int64_t index) {
  std::string out = "data: {\"id\":";
  json::append_string(out, facts.id);
  out += ",\"object\":\"chat.completion.chunk\",\"created\":" + std::to_string(facts.created) + ",\"model\":";
  json::append_string(out, facts.model);
  out += ",\"choices\":[{\"index\":" + std::to_string(index) +
         R"(,"delta":{"role":"assistant","content":""},"finish_reason":null}]})";
  return out + "\n\n";
}

}  // namespace spillway::api::openai
