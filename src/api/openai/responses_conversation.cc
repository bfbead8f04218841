// The body of a Responses request, taken apart.
#include <algorithm>
#include <array>

#include "api/openai/responses_format.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;
using Kind = Content::Kind;

// They say how the provider may work, or what it is to tell beside the answer.
constexpr std::array<std::string_view, 9> kMayBeDropped{
    "metadata", "service_tier",    "prompt_cache_key", "prompt_cache_retention", "safety_identifier",
    "include",  "client_metadata", "truncation",       "max_tool_calls"};
constexpr std::array<std::string_view, 4> kElsewhere{"stream", "stream_options", "input", "instructions"};

Refusal take_content(Value content, std::vector<Content>& into) {
  if (!content) return std::nullopt;
  if (content.is(Type::kString)) {
    into.push_back({.text = content.escaped()});
    return std::nullopt;
  }
  if (!content.is(Type::kArray)) return wrong_type("content", "a string or an array of parts");
  for (const Value part : content) {
    const std::string_view type = part["type"].escaped();
    if (type == "input_text" || type == "output_text" || type == "text") {
      if (!part["text"].is(Type::kString)) return wrong_type("content", "parts with a text each");
      into.push_back({.text = part["text"].escaped()});
    } else if (type == "refusal") {
      into.push_back({.text = part["refusal"].escaped()});
    } else if (type == "input_image" && part["image_url"].is(Type::kString)) {
      constexpr std::string_view kMark = ";base64,";
      const std::string_view url = part["image_url"].escaped();
      const std::size_t mark = url.find(kMark);
      if (url.starts_with("data:") && mark != std::string_view::npos) {
        into.push_back(
            {.kind = Kind::kImageData, .text = url.substr(mark + kMark.size()), .media_type = url.substr(5, mark - 5)});
      } else {
        into.push_back({.kind = Kind::kImageUrl, .text = url});
      }
    } else if (type.empty()) {
      return wrong_type("content", "a string or an array of parts with a type each");
    } else {
      return not_carried("input", "a part of type \"" + std::string(type) + "\"");
    }
  }
  return std::nullopt;
}

// What the assistant said and called in one turn stands together, and so do the results of its calls.
Message& turn_of(Role role, Conversation& into, bool results) {
  if (!into.messages.empty() && into.messages.back().role == role) {
    const auto& content = into.messages.back().content;
    const bool has_results = !content.empty() && content.back().kind == Kind::kResult;
    if (role == Role::kAssistant || has_results == results) return into.messages.back();
  }
  return into.messages.emplace_back(Message{.role = role});
}

Refusal take_item(Value item, Conversation& into) {
  if (!item.is(Type::kObject)) return wrong_type("input", "a string or an array of objects");
  const std::string_view type = item["type"].escaped();
  if (type.empty() || type == "message") {
    const std::string_view role = item["role"].escaped();
    if (role == "assistant") return take_content(item["content"], turn_of(Role::kAssistant, into, false).content);
    if (role != "user" && role != "system" && role != "developer")
      return wrong_type("role", "system, developer, user or assistant");
    Message message{.role = role == "user" ? Role::kUser : Role::kSystem};
    if (auto refusal = take_content(item["content"], message.content)) return refusal;
    into.messages.push_back(std::move(message));
  } else if (type == "function_call") {
    if (!item["call_id"].is(Type::kString) || !item["name"].is(Type::kString))
      return wrong_type("input", "function_call items with a call_id, a name and arguments");
    Content call{.kind = Kind::kCall, .id = item["call_id"].escaped(), .name = item["name"].escaped()};
    take_arguments(item["arguments"], into, call);
    turn_of(Role::kAssistant, into, false).content.push_back(call);
  } else if (type == "function_call_output") {
    if (!item["call_id"].is(Type::kString)) return wrong_type("call_id", "the id of the call that it answers");
    Content result{.kind = Kind::kResult, .id = item["call_id"].escaped()};
    std::vector<Content> parts;
    if (auto refusal = take_content(item["output"], parts)) return refusal;
    result.parts = into.keep(std::move(parts));
    turn_of(Role::kUser, into, true).content.push_back(result);
  } else if (type != "reasoning") {  // which only the model that thought it could read
    return not_carried("input", "an item of type \"" + std::string(type) + "\"");
  }
  return std::nullopt;
}

Refusal take_input(Value input, Conversation& into) {
  if (input.is(Type::kString)) {
    into.messages.push_back({.role = Role::kUser, .content = {{.text = input.escaped()}}});
    return std::nullopt;
  }
  if (!input.is(Type::kArray)) return wrong_type("input", "a string or an array of items");
  for (const Value item : input) {
    if (auto refusal = take_item(item, into)) return refusal;
  }
  return std::nullopt;
}

Refusal take_tools(Value list, Conversation& into) {
  if (!list.is(Type::kArray)) return wrong_type("tools", "an array");
  for (const Value one : list) {
    const std::string_view type = one["type"].escaped();
    if (type != "function")
      return not_carried("tools", "a tool of type \"" + std::string(type) + "\" is run by one provider alone");
    Tool tool{.name = one["name"].escaped()};
    if (tool.name.empty()) return wrong_type("tools", "an array of functions with a name each");
    if (auto refusal = take_text(one["description"], tool.description)) return refusal;
    if (one["parameters"] && !one["parameters"].is(Type::kObject)) return wrong_type("parameters", "an object");
    if (one["parameters"]) tool.parameters = one["parameters"].raw();
    tool.strict = one["strict"].is_true();
    into.tools.push_back(tool);
  }
  return std::nullopt;
}

Refusal take_choice(Value choice, Conversation& into) {
  const std::string_view word = choice.escaped();
  if (word == "auto" || word == "none" || word == "required") {
    into.tool_choice = word == "auto" ? ToolChoice::kAuto : word == "none" ? ToolChoice::kNone : ToolChoice::kRequired;
  } else if (choice["type"].escaped() == "function" && choice["name"].is(Type::kString)) {
    into.tool_choice = ToolChoice::kNamed;
    into.tool_name = choice["name"].escaped();
  } else {
    return choice.is(Type::kObject) ? not_carried("tool_choice")
                                    : wrong_type("tool_choice", "auto, none, required, or an object");
  }
  return std::nullopt;
}

Refusal take_format(Value format, Conversation& into) {
  const std::string_view type = format["type"].escaped();
  if (type.empty() || type == "text") return std::nullopt;
  if (type == "json_object") {
    into.form = AnswerForm::kJson;
  } else if (type == "json_schema" && format["schema"].is(Type::kObject)) {
    into.form = AnswerForm::kSchema;
    into.schema = format["schema"].raw();
    into.schema_name = format["name"].escaped();
    into.schema_strict = format["strict"].is_true();
  } else {
    return type == "json_schema" ? wrong_type("text", "an object whose format has a schema") : not_carried("text");
  }
  return std::nullopt;
}

Refusal take_member(Value value, Conversation& into) {
  const std::string_view key = value.key();
  if (key == "model") return take_text(value, into.model);
  if (!value || std::ranges::find(kElsewhere, key) != kElsewhere.end()) return std::nullopt;
  if (key == "previous_response_id" || key == "conversation") {
    return invalid_request("\"" + std::string(key) +
                               "\" asks for what was said before, and this gateway keeps nothing: send all turns in "
                               "\"input\", with store = false",
                           std::string(key));
  }
  if (key == "store") {
    if (!value.is_true()) return std::nullopt;
    return invalid_request("this gateway keeps no responses: send \"store\": false", "store");
  }
  if (key == "background" && !value.is_true()) return std::nullopt;
  if (key == "max_output_tokens") return take_count(value, into.max_tokens);
  if (key == "temperature") return take_number(value, into.temperature);
  if (key == "top_p") return take_number(value, into.top_p);
  if (key == "parallel_tool_calls") return take_flag(value, into.parallel_calls);
  if (key == "tools") return take_tools(value, into);
  if (key == "tool_choice") return take_choice(value, into);
  if (key == "user") return take_text(value, into.user);
  if (key == "text") return take_format(value["format"], into);
  if (key == "reasoning") {
    if (auto refusal = take_text(value["effort"], into.effort)) return refusal;
    if (into.effort == "none") into.thinks = false;
    return std::nullopt;
  }
  if (std::ranges::find(kMayBeDropped, key) != kMayBeDropped.end()) {
    into.dropped.emplace_back(key);
    return std::nullopt;
  }
  return not_carried(key);
}

}  // namespace

Refusal ResponsesFormat::read_request(Value body, Conversation& into) const {
  into.include_usage = true;
  std::string_view instructions;
  if (auto refusal = take_text(body["instructions"], instructions)) return refusal;
  if (!instructions.empty()) into.messages.push_back({.role = Role::kSystem, .content = {{.text = instructions}}});
  if (auto refusal = take_input(body["input"], into)) return refusal;
  for (const Value member : body) {
    if (auto refusal = take_member(member, into)) return refusal;
  }
  return std::nullopt;
}

}  // namespace spillway::api::openai
