#include "api/json_check.h"

#include <algorithm>
#include <utility>
#include <vector>

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

namespace {

using Elements = decltype(std::declval<ondemand::array>().begin());
using Members = decltype(std::declval<ondemand::object>().begin());

// A list or an object that is being walked.
struct Level {
  bool is_object = false;
  bool begun = false;
  Elements element;
  Elements last_element;
  Members member;
  Members last_member;
  Names names;
};

error_code check_scalar(ondemand::value value, ondemand::json_type type) {
  switch (type) {
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
    default: return simdjson::UNEXPECTED_ERROR;
  }
}

// Looks at a value that begins; one that holds others is put on `open`.
error_code begin(ondemand::value value, std::vector<Level>& open, std::size_t most) {
  if (open.size() >= most) return simdjson::DEPTH_ERROR;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  if (type == ondemand::json_type::object) {
    ondemand::object object;
    if (const auto error = value.get_object().get(object)) return error;
    Level& level = open.emplace_back();
    level.is_object = true;
    level.member = object.begin();
    level.last_member = object.end();
    return simdjson::SUCCESS;
  }
  if (type == ondemand::json_type::array) {
    ondemand::array array;
    if (const auto error = value.get_array().get(array)) return error;
    Level& level = open.emplace_back();
    level.element = array.begin();
    level.last_element = array.end();
    return simdjson::SUCCESS;
  }
  return check_scalar(value, type);
}

}  // namespace

error_code check(ondemand::value value, int depth) {
  thread_local std::vector<Level> open;
  open.clear();
  const auto most = static_cast<std::size_t>(std::max(kMaxDepth + 1 - depth, 0));
  if (const auto error = begin(value, open, most)) return error;
  while (!open.empty()) {
    Level& level = open.back();
    const bool goes_on = std::exchange(level.begun, true);
    ondemand::value inner;
    if (level.is_object) {
      if (goes_on) ++level.member;
      if (!(level.member != level.last_member)) {
        open.pop_back();
        continue;
      }
      auto field = *level.member;
      std::string_view key;
      if (const auto error = field.unescaped_key().get(key)) return error;
      if (!level.names.add(key)) return kTwice;
      if (const auto error = field.value().get(inner)) return error;
    } else {
      if (goes_on) ++level.element;
      if (!(level.element != level.last_element)) {
        open.pop_back();
        continue;
      }
      if (const auto error = (*level.element).get(inner)) return error;
    }
    if (const auto error = begin(inner, open, most)) return error;
  }
  return simdjson::SUCCESS;
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
