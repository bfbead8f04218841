#include "api/json_tree.h"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <charconv>

#include "api/json_check.h"
#include "api/json_reading.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

namespace {

// simdjson looks at escapes only where a text is decoded; here it goes on as it stands. Half of a surrogate pair may
// stand alone: the other half comes with the next event.
bool has_good_escapes(std::string_view token) {
  for (std::size_t at = token.find('\\'); at != std::string_view::npos; at = token.find('\\', at)) {
    if (at + 1 >= token.size() || std::string_view("\"\\/bfnrtu").find(token[at + 1]) == std::string_view::npos)
      return false;
    at += 2;
    if (token[at - 1] != 'u') continue;
    const std::string_view digits = token.substr(at, 4);
    if (digits.size() < 4 || !std::ranges::all_of(digits, [](unsigned char c) { return std::isxdigit(c) != 0; }))
      return false;
  }
  return true;
}

}  // namespace

class JsonTreeBuilder {
 public:
  JsonTreeBuilder(JsonTree& tree, ondemand::document& document, std::string_view text)
      : tree_(tree), document_(document), text_(text) {}

  error_code add(ondemand::value value, std::string_view key, int depth) {
    using Type = JsonTree::Type;
    if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
    ondemand::json_type type{};
    if (const auto error = value.type().get(type)) return error;
    const auto at = static_cast<std::uint32_t>(tree_.nodes_.size());
    tree_.nodes_.push_back({without_white_space_behind(value.raw_json_token()), key, at + 1, Type::kNull});
    Type kind = Type::kNull;
    switch (type) {
      case ondemand::json_type::object: {
        kind = Type::kObject;
        ondemand::object object;
        if (const auto error = value.get_object().get(object)) return error;
        if (const auto error = add_members(object, depth)) return error;
        break;
      }
      case ondemand::json_type::array: {
        kind = Type::kArray;
        ondemand::array array;
        if (const auto error = value.get_array().get(array)) return error;
        for (auto element : array) {
          ondemand::value inner;
          if (const auto error = element.get(inner)) return error;
          if (const auto error = add(inner, {}, depth + 1)) return error;
        }
        break;
      }
      case ondemand::json_type::string: {
        kind = Type::kString;
        ondemand::raw_json_string ignored;  // takes the value, so that the walk goes on behind it
        if (const auto error = value.get_raw_json_string().get(ignored)) return error;
        if (!has_good_escapes(tree_.nodes_[at].raw)) return simdjson::STRING_ERROR;
        break;
      }
      case ondemand::json_type::number: {
        kind = Type::kNumber;
        double ignored = 0;
        (void)value.get_double().get(ignored);
        if (!is_number(tree_.nodes_[at].raw)) return simdjson::NUMBER_ERROR;
        break;
      }
      case ondemand::json_type::boolean: {
        kind = Type::kBoolean;
        bool ignored = false;
        if (const auto error = value.get_bool().get(ignored)) return error;
        break;
      }
      case ondemand::json_type::null: {
        bool ignored = false;
        if (const auto error = value.is_null().get(ignored)) return error;
        break;
      }
    }
    close(at, kind);
    return simdjson::SUCCESS;
  }

  error_code add_members(ondemand::object object, int depth) {
    for (auto field : object) {
      ondemand::raw_json_string raw_key;
      std::string_view name;
      if (const auto error = field.key().get(raw_key)) return error;
      const char* const begin = raw_key.raw();
      if (const auto error = field.unescaped_key().get(name)) return error;
      // Without an escape it stands so in the text, which outlives what simdjson has decoded.
      const auto offset = static_cast<std::size_t>(begin - text_.data());
      if (text_.substr(offset, name.size()) == name) {
        name = text_.substr(offset, name.size());
      } else {
        name = tree_.keys_.emplace_back(name);
      }
      ondemand::value inner;
      if (const auto error = field.value().get(inner)) return error;
      if (const auto error = add(inner, name, depth + 1)) return error;
    }
    return simdjson::SUCCESS;
  }

  // What began at node `at` has been walked.
  void close(std::uint32_t at, JsonTree::Type kind) {
    JsonTree::Node& node = tree_.nodes_[at];
    node.type = kind;
    node.end = static_cast<std::uint32_t>(tree_.nodes_.size());
    if (kind != JsonTree::Type::kArray && kind != JsonTree::Type::kObject) return;
    const char mark = kind == JsonTree::Type::kArray ? ']' : '}';
    const auto begin = static_cast<std::size_t>(node.raw.data() - text_.data());
    const char* behind = nullptr;
    std::size_t end =
        document_.current_location().get(behind) ? text_.size() : static_cast<std::size_t>(behind - text_.data());
    while (end > begin + 1 && text_[end - 1] != mark) --end;
    node.raw = text_.substr(begin, end - begin);
  }

 private:
  JsonTree& tree_;
  ondemand::document& document_;
  std::string_view text_;
};

bool JsonTree::parse(std::string_view text) {
  nodes_.clear();
  keys_.clear();
  ThreadParser parser;
  ondemand::document document;
  ondemand::object object;
  if (!open_object(parser, text, document, object)) return false;
  const std::size_t begin = text.find('{');
  nodes_.push_back({text.substr(begin), {}, 0, Type::kObject});
  JsonTreeBuilder builder(*this, document, text);
  if (builder.add_members(object, 0) || document.current_location().error() != simdjson::OUT_OF_BOUNDS) {
    nodes_.clear();
    return false;
  }
  builder.close(0, Type::kObject);
  return true;
}

std::string JsonTree::Value::text() const { return json::unescaped(escaped()); }

std::optional<std::int64_t> JsonTree::Value::integer() const {
  if (type() != Type::kNumber) return std::nullopt;
  std::int64_t number = 0;
  const std::string_view digits = raw();
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  return number;
}

JsonTree::Value JsonTree::Value::operator[](std::string_view name) const {
  if (type() != Type::kObject) return {};
  for (const Value member : *this) {
    if (member.key() == name) return member;
  }
  return {};
}

JsonTree::Value::Iterator JsonTree::Value::begin() const {
  const bool holds = type() == Type::kArray || type() == Type::kObject;
  return {tree_, holds ? index_ + 1 : 0};
}

JsonTree::Value::Iterator JsonTree::Value::end() const {
  const bool holds = type() == Type::kArray || type() == Type::kObject;
  return {tree_, holds ? node().end : 0};
}

}  // namespace spillway::api
