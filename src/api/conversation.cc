#include "api/conversation.h"

#include <algorithm>
#include <charconv>

#include "base/json_text.h"

namespace spillway::api {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

const std::vector<Content>& Content::inside() const {
  static const std::vector<Content> kNothing;
  return parts != nullptr ? *parts : kNothing;
}

ApiError wrong_type(std::string_view name, std::string_view what) {
  return invalid_request("\"" + std::string(name) + "\" has to be " + std::string(what), std::string(name));
}

ApiError not_carried(std::string_view name, std::string_view why) {
  std::string message = "\"" + std::string(name) + "\" cannot be carried to a Backend that speaks another Dialect";
  if (!why.empty()) message.append(": ").append(why);
  return invalid_request(message + "; leave it out, or ask a Route whose Target speaks yours", std::string(name));
}

Refusal take_number(Value value, std::string_view& into) {
  if (!value) return std::nullopt;
  double number = 0;
  const std::string_view raw = value.raw();
  if (!value.is(Type::kNumber) || std::from_chars(raw.data(), raw.data() + raw.size(), number).ec != std::errc())
    return wrong_type(value.key(), "a number");
  into = raw;
  return std::nullopt;
}

Refusal take_count(Value value, std::int64_t& into) {
  if (!value) return std::nullopt;
  const auto number = value.integer();
  if (!number) return wrong_type(value.key(), "a whole number");
  into = *number;
  return std::nullopt;
}

Refusal take_flag(Value value, std::optional<bool>& into) {
  if (!value) return std::nullopt;
  if (!value.is(Type::kBoolean)) return wrong_type(value.key(), "true or false");
  into = value.is_true();
  return std::nullopt;
}

Refusal take_text(Value value, std::string_view& into) {
  if (!value) return std::nullopt;
  if (!value.is(Type::kString)) return wrong_type(value.key(), "a string");
  into = value.escaped();
  return std::nullopt;
}

Refusal take_texts(Value value, std::vector<std::string_view>& into) {
  if (!value) return std::nullopt;
  if (value.is(Type::kString)) {
    into.push_back(value.escaped());
    return std::nullopt;
  }
  if (!value.is(Type::kArray)) return wrong_type(value.key(), "a string or an array of strings");
  for (const Value one : value) {
    if (!one.is(Type::kString)) return wrong_type(value.key(), "a string or an array of strings");
    into.push_back(one.escaped());
  }
  return std::nullopt;
}

Refusal take_functions(Value list, Conversation& into) {
  if (!list) return std::nullopt;
  if (!list.is(Type::kArray)) return wrong_type(list.key(), "an array");
  for (const Value one : list) {
    const Value function = one["function"];
    if (!one.is(Type::kObject)) return wrong_type("tools", "an array of objects");
    if (const std::string_view type = one["type"].escaped(); !type.empty() && type != "function")
      return not_carried("tools", "a tool of type \"" + std::string(type) + "\" is run by one provider alone");
    Tool tool;
    if (!function.is(Type::kObject) || function["name"].escaped().empty())
      return wrong_type("tools", "an array of functions with a name each");
    tool.name = function["name"].escaped();
    if (auto refusal = take_text(function["description"], tool.description)) return refusal;
    const Value parameters = function["parameters"];
    if (parameters && !parameters.is(Type::kObject)) return wrong_type("parameters", "an object");
    if (parameters) tool.parameters = parameters.raw();
    tool.strict = function["strict"].is_true();
    into.tools.push_back(tool);
  }
  return std::nullopt;
}

std::optional<std::string> arguments_of(std::string_view escaped) {
  std::string text = json::unescaped(escaped);
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string::npos) return "{}";
  JsonTree tree;
  if (!tree.parse(text)) return std::nullopt;
  return std::string(tree.root().raw());
}

void take_arguments(Value arguments, Conversation& into, Content& call) {
  call.text = "{}";
  if (arguments.is(Type::kObject)) call.text = arguments.raw();
  if (!arguments.is(Type::kString)) return;
  if (auto text = arguments_of(arguments.escaped())) {
    call.text = into.keep(std::move(*text));
  } else {
    call.said = arguments.escaped();
  }
}

std::string fitting_id(std::string_view id, CallIds wanted) {
  constexpr std::size_t kLongest = 64;
  constexpr std::size_t kNine = 9;
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '-';
  };
  const auto is_letter = [&](char c) { return is_word(c) && c != '_' && c != '-'; };
  const bool fits =
      wanted == CallIds::kAny ||
      (wanted == CallIds::kWord && !id.empty() && id.size() <= kLongest && std::ranges::all_of(id, is_word)) ||
      (wanted == CallIds::kNine && id.size() == kNine && std::ranges::all_of(id, is_letter));
  if (fits) return std::string(id);
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::uint64_t hash = 14695981039346656037u;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  std::string mark;
  for (; mark.size() < kNine; hash /= kLetters.size()) mark += kLetters[hash % kLetters.size()];
  if (wanted == CallIds::kNine) return mark;
  std::string out;
  for (const char c : id.substr(0, kLongest - kNine - 1)) out += is_word(c) ? c : '_';
  return out + "_" + mark;
}

std::string object_schema(std::string_view parameters) {
  JsonTree tree;
  if (parameters.empty() || !tree.parse(parameters)) return R"({"type":"object","properties":{}})";
  const Value schema = tree.root();
  std::string missing;
  if (!schema["type"]) missing += R"("type":"object")";
  // One that is put together of others has them there.
  const bool is_composed = schema["anyOf"] || schema["oneOf"] || schema["allOf"] || schema["$ref"];
  if (!schema["properties"] && !is_composed) missing.append(missing.empty() ? "" : ",").append(R"("properties":{})");
  if (missing.empty()) return std::string(parameters);
  const std::string_view members = parameters.substr(parameters.find('{') + 1);
  return "{" + missing + (schema.empty() ? "" : ",") + std::string(members);
}

void begin_member(std::string& out, std::string_view name) {
  if (!out.empty() && out.back() != '{') out.push_back(',');
  out.append("\"").append(name).append("\":");
}

void append_raw(std::string& out, std::string_view name, std::string_view json) {
  begin_member(out, name);
  out += json;
}

void append_text(std::string& out, std::string_view name, std::string_view escaped) {
  begin_member(out, name);
  out.append("\"").append(escaped).append("\"");
}

void append_set(std::string& out, std::string_view name, std::string_view json) {
  if (!json.empty()) append_raw(out, name, json);
}

std::string escaped(std::string_view plain) {
  std::string quoted;
  json::append_string(quoted, plain);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace spillway::api
