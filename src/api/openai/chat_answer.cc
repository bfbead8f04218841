#include "api/openai/chat_answer.h"

#include <simdjson.h>

#include <algorithm>

#include "api/openai/thread_parser.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

constexpr std::size_t kMaxErrorText = 300;  // characters of a Backend's own words that are kept

// A text other than "", a list or an object that holds something. By its JSON text: a text may begin with half a
// surrogate pair, whose other half comes with the next delta.
bool carries_something(ondemand::value value) {
  json_type type{};
  if (value.type().get(type)) return false;
  if (type == json_type::string) return !value.raw_json_token().starts_with("\"\"");
  bool empty = true;
  if (type == json_type::array) {
    ondemand::array array;
    return !value.get_array().get(array) && !array.is_empty().get(empty) && !empty;
  }
  if (type == json_type::object) {
    ondemand::object object;
    return !value.get_object().get(object) && !object.is_empty().get(empty) && !empty;
  }
  return false;
}

bool is_null(ondemand::value value) {
  json_type type{};
  return value.type().get(type) || type == json_type::null;
}

// A text, or a whole number written out; empty for anything else.
std::string short_text(ondemand::value value) {
  json_type type{};
  std::string_view text;
  if (value.type().get(type)) return {};
  if (type == json_type::number) {
    std::int64_t number = 0;
    return value.get_int64().get(number) ? std::string() : std::to_string(number);
  }
  if (type != json_type::string || value.get_string().get(text)) return {};
  return std::string(text.substr(0, kMaxErrorText));
}

void read_error_members(ondemand::object object, UpstreamError& error) {
  for (auto field : object) {
    std::string_view key;
    ondemand::value member;
    if (field.unescaped_key().get(key) || field.value().get(member)) return;
    if (key == "message") {
      error.message = short_text(member);
    } else if (key == "type") {
      error.type = short_text(member);
    } else if (key == "code") {
      error.code = short_text(member);
    }
  }
}

// The value of a member `error`: an object, or a text.
UpstreamError error_of(ondemand::value value) {
  UpstreamError error;
  json_type type{};
  std::string_view text;
  ondemand::object object;
  if (value.type().get(type)) return error;
  if (type == json_type::string) {
    if (!value.get_string().get(text)) error.message = text.substr(0, kMaxErrorText);
  } else if (type == json_type::object && !value.get_object().get(object)) {
    read_error_members(object, error);
  }
  return error;
}

// null, "", {}, [], false: some servers send one with every good chunk.
bool is_void_error(ondemand::value value) {
  json_type type{};
  bool flag = false;
  if (value.type().get(type)) return true;
  if (type == json_type::null) return true;
  if (type == json_type::boolean) return !value.get_bool().get(flag) && !flag;
  return type != json_type::number && !carries_something(value);
}

// A message or a delta: both name what they carry alike. Whatever it has besides its role is content; providers invent
// names for it faster than a list could follow (images, reasoning_details, thinking_blocks).
struct Carried {
  bool something = false;
  bool role = false;
  bool tool_calls = false;
  bool function_call = false;
  bool opaque = false;    // what is neither text nor reasoning
  std::string_view text;  // of `content`; valid until the parser goes on to another document
};

bool is_reasoning(std::string_view key) { return key.starts_with("reasoning") || key.starts_with("thinking"); }

Carried read_carried(ondemand::object object) {
  Carried carried;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) break;
    if (key == "role") {
      carried.role = !is_null(value);
      continue;
    }
    if (!carries_something(value)) continue;
    carried.something = true;
    if (key == "content") {
      if (value.get_string().get(carried.text)) carried.opaque = true;  // a list, or half a surrogate pair
      continue;
    }
    carried.tool_calls |= key == "tool_calls";
    carried.function_call |= key == "function_call";
    carried.opaque |= !is_reasoning(key) && key != "tool_calls" && key != "function_call";
  }
  return carried;
}

// The finish_reason; empty where there is none yet: null, "" (SGLang, old Ollama) or "null".
std::string_view read_finish(ondemand::value value) {
  json_type type{};
  std::string_view reason;
  if (value.type().get(type) || type != json_type::string || value.get_string().get(reason)) return {};
  return reason == "null" ? std::string_view() : reason;
}

// With these an answer without content is one; a bare stop without anything is none.
bool makes_an_answer(std::string_view finish) {
  return finish == "length" || finish == "content_filter" || finish == "tool_calls" || finish == "function_call";
}

bool counts_tokens(ondemand::value usage) {
  ondemand::object object;
  std::int64_t tokens = 0;
  return !usage.get_object().get(object) && !object["completion_tokens"].get_int64().get(tokens) && tokens > 0;
}

// The choice of that index, made when it is new; null: there are too many.
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

// One element of a chunk's `choices`. False: it is no choice.
bool read_choice(ondemand::object object, StreamFacts& facts, Chunk& chunk) {
  std::int64_t index = 0;
  std::string_view finish;
  Carried carried;
  for (auto part : object) {
    std::string_view name;
    ondemand::value inner;
    if (part.unescaped_key().get(name) || part.value().get(inner)) return false;
    ondemand::object delta;
    if (name == "index") {
      if (inner.get_int64().get(index)) index = 0;
    } else if (name == "finish_reason") {
      finish = read_finish(inner);
    } else if (name == "delta" && !inner.get_object().get(delta)) {
      carried = read_carried(delta);
    }
  }
  bool is_new = false;
  StreamFacts::Choice* const choice = choice_of(facts, index, is_new);
  if (choice == nullptr) return false;
  if (is_new && !carried.role) chunk.without_role = index;
  choice->role |= carried.role || is_new;  // a missing one is added
  choice->finish |= !finish.empty();
  choice->tool_calls |= carried.tool_calls;
  choice->function_call |= carried.function_call;
  chunk.token |= carried.something;
  facts.opaque |= carried.opaque || index != 0;
  facts.calls |= carried.tool_calls || carried.function_call;
  if (index == 0 && !facts.calls) facts.text += carried.text;
  if (facts.text.size() > StreamFacts::kMaxText) {
    facts.opaque = true;
    facts.text = std::string();
  }
  facts.counted |= makes_an_answer(finish);
  return true;
}

bool open_object(ThreadParser& parser, std::string_view text, ondemand::document& document, ondemand::object& object) {
  const simdjson::padded_string_view padded(text.data(), text.size(), text.size() + ByteBuffer::kPadding);
  return !parser->iterate(padded).get(document) && !document.get_object().get(object);
}

void append_chunk(std::string& out, const StreamFacts& facts, std::int64_t index, std::string_view rest) {
  out += "data: {\"id\":";
  json::append_string(out, facts.id);
  out += ",\"object\":\"chat.completion.chunk\",\"created\":" + std::to_string(facts.created) + ",\"model\":";
  json::append_string(out, facts.model);
  out += ",\"choices\":[{\"index\":" + std::to_string(index) + ",";
  out.append(rest).append("}]}\n\n");
}

std::string_view without_white_space_behind(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace

bool StreamFacts::finished() const {
  return !choices.empty() && std::ranges::all_of(choices, [](const Choice& choice) { return choice.finish; });
}

Chunk read_chunk(std::string_view data, StreamFacts& facts) {
  Chunk chunk;
  data = without_white_space_behind(data);
  if (data == "[DONE]") {
    chunk.kind = Chunk::Kind::kDone;
    return chunk;
  }
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, data, document, object)) return chunk;
  const bool with_identity = facts.id.empty();
  bool choices_seen = false;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) return chunk;
    if (key == "choices") {
      json_type type{};
      ondemand::array choices;
      if (value.type().get(type)) return chunk;
      if (type == json_type::null) continue;
      if (value.get_array().get(choices)) return chunk;
      choices_seen = true;
      for (auto choice : choices) {
        ondemand::object fields;
        if (choice.get_object().get(fields) || !read_choice(fields, facts, chunk)) return chunk;
      }
      facts.tokens += chunk.token ? 1 : 0;
    } else if (key == "error") {
      if (is_void_error(value)) continue;
      chunk.kind = Chunk::Kind::kError;
      chunk.error = error_of(value);
      return chunk;
    } else if (key == "usage") {
      chunk.usage = !is_null(value);
      if (chunk.usage) facts.counted |= counts_tokens(value);
    } else if (with_identity && (key == "id" || key == "model")) {
      std::string_view text;
      if (value.get_string().get(text)) continue;
      (key == "id" ? facts.id : facts.model) = text;
    } else if (with_identity && key == "created") {
      std::int64_t number = 0;
      if (!value.get_int64().get(number)) facts.created = number;
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    chunk.kind = Chunk::Kind::kSeveral;
  } else {
    chunk.kind = choices_seen || chunk.usage ? Chunk::Kind::kChunk : Chunk::Kind::kNoise;
  }
  return chunk;
}

namespace {

// What a delta carries beside its role and reasoning, as the members of an object.
std::string members_of(ondemand::object delta) {
  std::string out;
  for (auto field : delta) {
    std::string_view key;
    ondemand::value value;
    std::string_view raw;
    if (field.unescaped_key().get(key) || key == "role" || is_reasoning(key) || field.value().get(value)) continue;
    std::string quoted;
    json::append_string(quoted, key);  // before the value is walked, which may move the text of the key
    if (simdjson::to_json_string(value).get(raw)) continue;
    out.append(out.empty() ? "" : ",").append(quoted).append(":").append(without_white_space_behind(raw));
  }
  return out;
}

}  // namespace

Continued read_continued(std::string_view data, StreamFacts& facts) {
  Continued out;
  const std::size_t text_before = facts.text.size();
  out.chunk = read_chunk(data, facts);
  if (out.chunk.kind != Chunk::Kind::kChunk) return out;
  out.text = facts.text.substr(std::min(text_before, facts.text.size()));
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, without_white_space_behind(data), document, object)) return out;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) break;
    ondemand::array choices;
    ondemand::object usage;
    if (key == "choices" && !value.get_array().get(choices)) {
      for (auto choice : choices) {
        ondemand::object fields;
        if (choice.get_object().get(fields)) continue;
        for (auto part : fields) {
          std::string_view name;
          ondemand::value inner;
          ondemand::object delta;
          if (part.unescaped_key().get(name) || part.value().get(inner)) break;
          if (name == "finish_reason") out.finish = read_finish(inner);
          if (name == "delta" && facts.calls && !inner.get_object().get(delta)) out.calls = members_of(delta);
        }
      }
    } else if (key == "usage" && !is_null(value) && !value.get_object().get(usage)) {
      if (usage["prompt_tokens"].get_int64().get(out.prompt_tokens)) out.prompt_tokens = 0;
      if (usage["completion_tokens"].get_int64().get(out.completion_tokens)) out.completion_tokens = 0;
    }
  }
  return out;
}

std::string text_event(const StreamFacts& first, std::string_view text) {
  std::string rest = R"("delta":{"content":)";
  json::append_string(rest, text);
  rest += R"(},"finish_reason":null)";
  std::string out;
  append_chunk(out, first, 0, rest);
  return out;
}

std::string delta_event(const StreamFacts& first, std::string_view members) {
  std::string out;
  append_chunk(out, first, 0, "\"delta\":{" + std::string(members) + "},\"finish_reason\":null");
  return out;
}

std::string finish_event(const StreamFacts& first, std::string_view reason) {
  std::string rest = R"("delta":{},"finish_reason":)";
  json::append_string(rest, reason);
  std::string out;
  append_chunk(out, first, 0, rest);
  return out;
}

std::string usage_event(const StreamFacts& first, std::int64_t prompt_tokens, std::int64_t completion_tokens) {
  std::string out = "data: {\"id\":";
  json::append_string(out, first.id);
  out += ",\"object\":\"chat.completion.chunk\",\"created\":" + std::to_string(first.created) + ",\"model\":";
  json::append_string(out, first.model);
  out += ",\"choices\":[],\"usage\":{\"prompt_tokens\":" + std::to_string(prompt_tokens) +
         ",\"completion_tokens\":" + std::to_string(completion_tokens) +
         ",\"total_tokens\":" + std::to_string(prompt_tokens + completion_tokens) + "}}\n\n";
  return out;
}

Answer read_answer(std::string_view body) {
  Answer answer;
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, body, document, object)) return answer;
  bool choices_seen = false;
  bool something = false;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) return answer;
    if (key == "error") {
      if (is_void_error(value)) continue;
      answer.kind = Answer::Kind::kError;
      answer.error = error_of(value);
      return answer;
    }
    if (key == "choices") {
      ondemand::array choices;
      if (value.get_array().get(choices)) return answer;
      choices_seen = true;
      for (auto choice : choices) {
        ondemand::object fields;
        if (choice.get_object().get(fields)) return answer;
        for (auto part : fields) {
          std::string_view name;
          ondemand::value inner;
          if (part.unescaped_key().get(name) || part.value().get(inner)) return answer;
          ondemand::object message;
          if (name == "message" && !inner.get_object().get(message)) {
            something |= read_carried(message).something;
          } else if (name == "finish_reason") {
            something |= makes_an_answer(read_finish(inner));
          }
        }
      }
    } else if (key == "usage") {
      something |= !is_null(value) && counts_tokens(value);
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS) return answer;
  if (choices_seen) answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
  return answer;
}

UpstreamError read_error(std::string_view body) {
  UpstreamError error;
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, body, document, object)) return error;
  ondemand::value value;
  json_type type{};
  if (!object["error"].get(value) && !value.type().get(type) && type != json_type::null) return error_of(value);
  if (!object.reset().error()) read_error_members(object, error);
  return error;
}

bool is_json(std::string_view body) {
  simdjson::dom::parser parser;
  return !parser.parse(body.data(), body.size(), /*realloc_if_needed=*/false).error();
}

std::string role_event(const StreamFacts& facts, std::int64_t index) {
  std::string out;
  append_chunk(out, facts, index, R"("delta":{"role":"assistant","content":""},"finish_reason":null)");
  return out;
}

std::string finish_events(const StreamFacts& facts) {
  std::string out;
  for (const StreamFacts::Choice& choice : facts.choices) {
    if (choice.finish) continue;
    append_chunk(out, facts, choice.index,
                 choice.tool_calls      ? R"("delta":{},"finish_reason":"tool_calls")"
                 : choice.function_call ? R"("delta":{},"finish_reason":"function_call")"
                                        : R"("delta":{},"finish_reason":"stop")");
  }
  return out;
}

}  // namespace spillway::api::openai
