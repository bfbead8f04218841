#include "api/openai/chat_answer.h"

#include <simdjson.h>

#include <algorithm>

#include "api/json_reading.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

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

}  // namespace

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
      if (chunk.token) facts.count_token();
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
