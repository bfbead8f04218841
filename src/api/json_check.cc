#include "api/json_check.h"

#include "api/json_reading.h"
#include "base/byte_buffer.h"

namespace spillway::api {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

static_assert(ByteBuffer::kPadding >= simdjson::SIMDJSON_PADDING);

bool is_number(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t first = i;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

error_code check(ondemand::value value, int depth) {
  if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  switch (type) {
    case ondemand::json_type::object: {
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return error;
      Names names;
      for (auto field : object) {
        std::string_view key;
        if (const auto error = field.unescaped_key().get(key)) return error;
        if (!names.add(key)) return kTwice;
        ondemand::value inner;
        if (const auto error = field.value().get(inner)) return error;
        if (const auto error = check(inner, depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::array: {
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return error;
      for (auto element : array) {
        ondemand::value inner;
        if (const auto error = element.get(inner)) return error;
        if (const auto error = check(inner, depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::string: {
      std::string_view text;
      return value.get_string().get(text);
    }
    case ondemand::json_type::number: {
      const bool good = is_number(without_white_space_behind(value.raw_json_token()));
      double ignored = 0;
      // Takes the value, so that the walk goes on behind it; its range does not matter.
      (void)value.get_double().get(ignored);
      return good ? simdjson::SUCCESS : simdjson::NUMBER_ERROR;
    }
    case ondemand::json_type::boolean: {
      bool flag = false;
      return value.get_bool().get(flag);
    }
    case ondemand::json_type::null: {
      bool null = false;
      if (const auto error = value.is_null().get(null)) return error;
      return null ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
    }
  }
  return simdjson::UNEXPECTED_ERROR;
}

ApiError malformed(error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR: return invalid_request("the body is not valid UTF-8");
    case simdjson::DEPTH_ERROR:
      return invalid_request("the body is nested more than " + std::to_string(kMaxDepth) + " levels deep");
    case simdjson::EMPTY: return invalid_request("the body is empty; send a JSON object");
    case simdjson::INCORRECT_TYPE: return invalid_request("the body is not a JSON object");
    case kTwice: return invalid_request("the body holds an object with two members of the same name");
    case simdjson::STRING_ERROR: return invalid_request("the body holds a string with a malformed escape");
    default: return invalid_request(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
  }
}

}  // namespace spillway::api
