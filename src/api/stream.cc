#include "api/stream.h"

#include <simdjson.h>

#include <algorithm>
#include <utility>

#include "api/json_reading.h"
#include "base/byte_buffer.h"

namespace spillway::api {

namespace ondemand = simdjson::ondemand;
using ondemand::json_type;

namespace {

constexpr std::size_t kMaxErrorText = 300;  // characters of a Backend's own words that are kept

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

}  // namespace

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

bool is_void_error(ondemand::value value) {
  json_type type{};
  bool flag = false;
  if (value.type().get(type)) return true;
  if (type == json_type::null) return true;
  if (type == json_type::boolean) return !value.get_bool().get(flag) && !flag;
  return type != json_type::number && !carries_something(value);
}

bool open_object(ThreadParser& parser, std::string_view text, ondemand::document& document, ondemand::object& object) {
  const simdjson::padded_string_view padded(text.data(), text.size(), text.size() + ByteBuffer::kPadding);
  return !parser->iterate(padded).get(document) && !document.get_object().get(object);
}

std::string_view without_white_space_behind(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

void StreamFacts::take_back_calls() {
  if (!std::exchange(calls, false)) return;
  for (Choice& choice : choices) choice.tool_calls = choice.function_call = false;
  block = block_before_calls;
  blocks = blocks_before_calls;
}

bool StreamFacts::finished() const {
  return !choices.empty() && std::ranges::all_of(choices, [](const Choice& choice) { return choice.finish; });
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

}  // namespace spillway::api
