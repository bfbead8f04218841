#include "api/openai/chat_answer.h"

#include <simdjson.h>

#include "api/openai/thread_parser.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

constexpr std::size_t kMaxErrorText = 300;  // characters of a Backend's own words that are kept

bool non_empty_string(ondemand::value value) {
  std::string_view text;
  return !value.get_string().get(text) && !text.empty();
}

bool non_empty_array(ondemand::value value) {
  ondemand::array array;
  bool empty = true;
  return !value.get_array().get(array) && !array.is_empty().get(empty) && !empty;
}

bool is_null(ondemand::value value) {
  json_type type{};
  return value.type().get(type) || type == json_type::null;
}

// `message` of an error object, or the error itself where it is a string.
std::string error_text(ondemand::value value) {
  json_type type{};
  std::string_view text;
  if (value.type().get(type)) return {};
  if (type == json_type::string) {
    if (value.get_string().get(text)) return {};
  } else if (type == json_type::object) {
    ondemand::object object;
    if (value.get_object().get(object) || object["message"].get_string().get(text)) return {};
  }
  return std::string(text.substr(0, kMaxErrorText));
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

// A message or a delta: both name what they carry alike.
struct Carried {
  bool token = false;
  bool tool_call = false;
  bool role = false;
};

Carried read_carried(ondemand::object object) {
  Carried carried;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) break;
    if (key == "role") {
      carried.role = !is_null(value);
    } else if (key == "content") {
      json_type type{};
      if (value.type().get(type)) break;
      carried.token |=
          type == json_type::array ? non_empty_array(value) : type == json_type::string && non_empty_string(value);
    } else if (key == "reasoning_content" || key == "reasoning" || key == "refusal") {
      json_type type{};
      if (value.type().get(type)) break;
      carried.token |= type == json_type::string && non_empty_string(value);
    } else if (key == "tool_calls") {
      if (!is_null(value) && non_empty_array(value)) carried.token = carried.tool_call = true;
    } else if (key == "function_call" || key == "audio") {
      if (!is_null(value)) carried.token = carried.tool_call = true;
    }
  }
  return carried;
}

bool open_object(ThreadParser& parser, std::string_view text, ondemand::document& document, ondemand::object& object) {
  const simdjson::padded_string_view padded(text.data(), text.size(), text.size() + ByteBuffer::kPadding);
  return !parser->iterate(padded).get(document) && !document.get_object().get(object);
}

void append_identity(std::string& out, std::string_view id, std::string_view model, long long created) {
  out += "data: {\"id\":";
  json::append_string(out, id);
  out += ",\"object\":\"chat.completion.chunk\",\"created\":" + std::to_string(created) + ",\"model\":";
  json::append_string(out, model);
}

}  // namespace

Chunk read_chunk(std::string_view data, bool with_identity) {
  Chunk chunk;
  if (data == "[DONE]") {
    chunk.kind = Chunk::Kind::kDone;
    return chunk;
  }
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, data, document, object)) return chunk;
  bool choices_seen = false;
  for (auto field : object) {
    std::string_view key;
    ondemand::value value;
    if (field.unescaped_key().get(key) || field.value().get(value)) return chunk;
    if (key == "choices") {
      ondemand::array choices;
      if (value.get_array().get(choices)) continue;
      choices_seen = true;
      for (auto choice : choices) {
        ondemand::object fields;
        if (choice.get_object().get(fields)) return chunk;
        for (auto part : fields) {
          std::string_view name;
          ondemand::value inner;
          if (part.unescaped_key().get(name) || part.value().get(inner)) return chunk;
          ondemand::object delta;
          if (name == "finish_reason") {
            chunk.finish |= !is_null(inner);
          } else if (name == "delta" && !inner.get_object().get(delta)) {
            const Carried carried = read_carried(delta);
            chunk.token |= carried.token;
            chunk.tool_call |= carried.tool_call;
            chunk.role |= carried.role;
          }
        }
      }
    } else if (key == "error") {
      if (is_null(value)) continue;
      chunk.kind = Chunk::Kind::kError;
      chunk.error_message = error_text(value);
      return chunk;
    } else if (key == "usage") {
      chunk.usage = !is_null(value);
    } else if (with_identity && (key == "id" || key == "model")) {
      std::string_view text;
      if (value.get_string().get(text)) continue;
      (key == "id" ? chunk.id : chunk.model) = text;
    } else if (with_identity && key == "created") {
      std::int64_t number = 0;
      if (!value.get_int64().get(number)) chunk.created = number;
    }
  }
  if (choices_seen || chunk.usage) chunk.kind = Chunk::Kind::kChunk;
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
      if (is_null(value)) continue;
      answer.kind = Answer::Kind::kError;
      answer.error_message = error_text(value);
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
          if (name == "message" && !inner.get_object().get(message)) something |= read_carried(message).token;
        }
      }
    } else if (key == "usage") {
      ondemand::object usage;
      std::int64_t tokens = 0;
      if (!is_null(value) && !value.get_object().get(usage) && !usage["completion_tokens"].get_int64().get(tokens)) {
        something |= tokens > 0;
      }
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
  if (!object["error"].get(value) && !value.type().get(type) && type != json_type::null) {
    std::string_view text;
    if (type == json_type::string) {
      if (!value.get_string().get(text)) error.message = text.substr(0, kMaxErrorText);
      return error;
    }
    if (value.get_object().get(object)) return error;
  } else if (object.reset().error()) {
    return error;
  }
  for (auto field : object) {
    std::string_view key;
    ondemand::value member;
    if (field.unescaped_key().get(key) || field.value().get(member)) break;
    if (key == "message") {
      error.message = short_text(member);
    } else if (key == "type") {
      error.type = short_text(member);
    } else if (key == "code") {
      error.code = short_text(member);
    }
  }
  return error;
}

std::string role_event(const Chunk& first) {
  std::string out;
  append_identity(out, first.id, first.model, first.created);
  out += R"(,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]})";
  out += "\n\n";
  return out;
}

std::string finish_event(std::string_view id, std::string_view model, long long created) {
  std::string out;
  append_identity(out, id, model, created);
  out += R"(,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]})";
  out += "\n\n";
  return out;
}

}  // namespace spillway::api::openai
