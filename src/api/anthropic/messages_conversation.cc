// The body of a Messages request, taken apart and put together.
#include <algorithm>
#include <array>
#include <charconv>

#include "api/anthropic/messages_format.h"

namespace spillway::api::anthropic {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;
using Kind = Content::Kind;

constexpr std::int64_t kUsualAnswer = 8192;  // max_tokens, which has to be set, where the client sets none

// They say how the provider may work; the answer is the same without them.
constexpr std::array<std::string_view, 6> kMayBeDropped{"service_tier", "context_management", "inference_geo",
                                                        "container",    "cache_control",      "speed"};

Refusal take_image(Value source, std::vector<Content>& into) {
  const std::string_view type = source["type"].escaped();
  if (type == "base64" && source["data"].is(Type::kString)) {
    into.push_back(
        {.kind = Kind::kImageData, .text = source["data"].escaped(), .media_type = source["media_type"].escaped()});
  } else if (type == "url" && source["url"].is(Type::kString)) {
    into.push_back({.kind = Kind::kImageUrl, .text = source["url"].escaped()});
  } else {
    return type.empty() ? wrong_type("source", "an object with a type, and data or a url")
                        : not_carried("messages", "an image of type \"" + std::string(type) + "\"");
  }
  return std::nullopt;
}

Refusal no_such_block(std::string_view type) {
  if (type.empty()) return wrong_type("content", "a string or an array of blocks with a type each");
  return not_carried("messages", "a block of type \"" + std::string(type) + "\"");
}

// A block of a message, or of a result, which holds nothing else.
Refusal take_shown(Value block, std::vector<Content>& into) {
  const std::string_view type = block["type"].escaped();
  if (type == "image") return take_image(block["source"], into);
  if (type != "text") return no_such_block(type);
  if (!block["text"].is(Type::kString)) return wrong_type("text", "a string");
  into.push_back({.text = block["text"].escaped()});
  return std::nullopt;
}

// A text, or a list whose blocks `take` takes.
template <class Take>
Refusal take_each(Value content, std::vector<Content>& into, const Take& take) {
  if (!content) return std::nullopt;
  if (content.is(Type::kString)) {
    into.push_back({.text = content.escaped()});
    return std::nullopt;
  }
  if (!content.is(Type::kArray)) return wrong_type("content", "a string or an array of blocks");
  for (const Value block : content) {
    if (auto refusal = take(block)) return refusal;
  }
  return std::nullopt;
}

Refusal take_block(Value block, Conversation& chat, std::vector<Content>& into) {
  const std::string_view type = block["type"].escaped();
  if (type == "thinking") {
    into.push_back(
        {.kind = Kind::kReasoning, .text = block["thinking"].escaped(), .signature = block["signature"].escaped()});
  } else if (type == "redacted_thinking") {
    return std::nullopt;  // only the model that thought it can read it
  } else if (type == "tool_use") {
    if (!block["id"].is(Type::kString) || !block["name"].is(Type::kString))
      return wrong_type("tool_use", "a block with an id, a name and an input");
    into.push_back({.kind = Kind::kCall,
                    .text = block["input"].is(Type::kObject) ? block["input"].raw() : std::string_view("{}"),
                    .id = block["id"].escaped(),
                    .name = block["name"].escaped()});
  } else if (type == "tool_result") {
    if (!block["tool_use_id"].is(Type::kString)) return wrong_type("tool_use_id", "the id of the call that it answers");
    Content result{.kind = Kind::kResult, .id = block["tool_use_id"].escaped()};
    result.failed = block["is_error"].is_true();
    std::vector<Content> parts;
    if (auto refusal = take_each(block["content"], parts, [&](Value one) { return take_shown(one, parts); }))
      return refusal;
    result.parts = chat.keep(std::move(parts));
    into.push_back(result);
  } else {
    return take_shown(block, into);
  }
  return std::nullopt;
}

Refusal take_content(Value content, Conversation& chat, std::vector<Content>& into) {
  return take_each(content, into, [&](Value block) { return take_block(block, chat, into); });
}

Refusal take_message(Value value, Conversation& into) {
  const std::string_view role = value["role"].escaped();
  Message message;
  if (role == "assistant") {
    message.role = Role::kAssistant;
  } else if (role == "system") {
    message.role = Role::kSystem;
  } else if (role != "user") {
    return wrong_type("role", "user or assistant");
  }
  if (auto refusal = take_content(value["content"], into, message.content)) return refusal;
  into.messages.push_back(std::move(message));
  return std::nullopt;
}

Refusal take_system(Value value, Conversation& into) {
  Message message{.role = Role::kSystem};
  if (auto refusal = take_content(value, into, message.content)) {
    refusal->param = "system";
    return refusal;
  }
  if (!message.content.empty()) into.messages.insert(into.messages.begin(), std::move(message));
  return std::nullopt;
}

Refusal take_tools(Value list, Conversation& into) {
  if (!list.is(Type::kArray)) return wrong_type("tools", "an array");
  for (const Value one : list) {
    const std::string_view type = one["type"].escaped();
    if (!type.empty() && type != "custom")
      return not_carried("tools", "a tool of type \"" + std::string(type) + "\" is run by one provider alone");
    Tool tool;
    tool.name = one["name"].escaped();
    if (tool.name.empty() || !one["input_schema"].is(Type::kObject))
      return wrong_type("tools", "an array of tools with a name and an input_schema each");
    if (auto refusal = take_text(one["description"], tool.description)) return refusal;
    tool.parameters = one["input_schema"].raw();
    tool.strict = one["strict"].is_true();
    into.tools.push_back(tool);
  }
  return std::nullopt;
}

Refusal take_choice(Value choice, Conversation& into) {
  const std::string_view type = choice["type"].escaped();
  if (type == "auto") {
    into.tool_choice = ToolChoice::kAuto;
  } else if (type == "none") {
    into.tool_choice = ToolChoice::kNone;
  } else if (type == "any") {
    into.tool_choice = ToolChoice::kRequired;
  } else if (type == "tool" && choice["name"].is(Type::kString)) {
    into.tool_choice = ToolChoice::kNamed;
    into.tool_name = choice["name"].escaped();
  } else {
    return wrong_type("tool_choice", "an object of type auto, any, none, or tool with a name");
  }
  if (choice["disable_parallel_tool_use"].is_true()) into.parallel_calls = false;
  return std::nullopt;
}

Refusal take_format(Value format, Conversation& into) {
  if (!format) return std::nullopt;
  if (format["type"].escaped() != "json_schema" || !format["schema"].is(Type::kObject))
    return wrong_type("output_config", "an object whose format is a json_schema with a schema");
  into.form = AnswerForm::kSchema;
  into.schema = format["schema"].raw();
  into.schema_strict = true;
  return std::nullopt;
}

Refusal take_member(Value value, Conversation& into) {
  const std::string_view key = value.key();
  if (key == "model") return take_text(value, into.model);
  if (key == "stream") return std::nullopt;
  if (key == "messages") {
    for (const Value message : value) {
      if (auto refusal = take_message(message, into)) return refusal;
    }
    return std::nullopt;
  }
  if (!value) return std::nullopt;
  if (key == "system") return take_system(value, into);
  if (key == "max_tokens") return take_count(value, into.max_tokens);
  if (key == "temperature") return take_number(value, into.temperature);
  if (key == "top_p") return take_number(value, into.top_p);
  if (key == "top_k") return take_number(value, into.top_k);
  if (key == "stop_sequences") return take_texts(value, into.stop);
  if (key == "tools") return take_tools(value, into);
  if (key == "tool_choice") return take_choice(value, into);
  if (key == "metadata") return take_text(value["user_id"], into.user);
  if (key == "output_format") return take_format(value, into);
  if (key == "output_config") {
    if (auto refusal = take_text(value["effort"], into.effort)) return refusal;
    return take_format(value["format"], into);
  }
  if (key == "thinking") {
    const std::string_view type = value["type"].escaped();
    if (type.empty()) return wrong_type("thinking", "an object with a type");
    into.thinks = type != "disabled";
    return std::nullopt;
  }
  if (std::ranges::find(kMayBeDropped, key) != kMayBeDropped.end()) {
    into.dropped.emplace_back(key);
    return std::nullopt;
  }
  return not_carried(key);
}

// All but results; nothing where there is nothing to say.
void append_shown(std::string& out, const Content& one) {
  std::string block = "{";
  switch (one.kind) {
    case Kind::kText:
      if (one.text.empty()) return;  // an empty one is refused
      append_text(block, "type", "text");
      append_text(block, "text", one.text);
      break;
    case Kind::kReasoning:
      // What another model thought has nothing that proves it.
      if (one.signature.empty()) return;
      append_text(block, "type", "thinking");
      append_text(block, "thinking", one.text);
      append_text(block, "signature", one.signature);
      break;
    case Kind::kImageData:
    case Kind::kImageUrl:
      append_text(block, "type", "image");
      append_raw(block, "source", "{");
      append_text(block, "type", one.kind == Kind::kImageUrl ? "url" : "base64");
      if (one.kind == Kind::kImageData) append_text(block, "media_type", one.media_type);
      append_text(block, one.kind == Kind::kImageUrl ? "url" : "data", one.text);
      block += "}";
      break;
    case Kind::kCall:
      append_text(block, "type", "tool_use");
      append_text(block, "id", fitting_id(one.id, CallIds::kWord));
      append_text(block, "name", one.name);
      append_raw(block, "input", one.text);
      break;
    case Kind::kResult: return;
  }
  if (out.back() != '[') out += ",";
  out.append(block).append("}");
}

void append_result(std::string& out, const Content& one) {
  if (out.back() != '[') out += ",";
  out += "{";
  append_text(out, "type", "tool_result");
  append_text(out, "tool_use_id", fitting_id(one.id, CallIds::kWord));
  if (!one.inside().empty()) {
    append_raw(out, "content", "[");
    for (const Content& inside : one.inside()) append_shown(out, inside);
    out += "]";
  }
  if (one.failed) append_raw(out, "is_error", "true");
  out += "}";
}

void append_blocks(std::string& out, const std::vector<Content>& content) {
  for (const Content& one : content) {
    if (one.kind == Kind::kResult) {
      append_result(out, one);
    } else {
      append_shown(out, one);
    }
  }
}

void append_messages(std::string& out, const Conversation& chat) {
  append_raw(out, "messages", "[");
  for (const Message& message : chat.messages) {
    if (message.role == Role::kSystem) continue;
    std::string blocks = "[";
    append_blocks(blocks, message.content);
    if (blocks.size() == 1) continue;
    if (out.back() != '[') out += ",";
    out.append(R"({"role":")").append(message.role == Role::kUser ? "user" : "assistant").append(R"(","content":)");
    out.append(blocks).append("]}");
  }
  out += "]";
}

void append_system(std::string& out, const Conversation& chat) {
  std::string blocks = "[";
  for (const Message& message : chat.messages) {
    if (message.role == Role::kSystem) append_blocks(blocks, message.content);
  }
  if (blocks.size() > 1) append_raw(out, "system", blocks + "]");
}

void append_tools(std::string& out, const Conversation& chat) {
  if (chat.tools.empty()) return;
  append_raw(out, "tools", "[");
  for (const Tool& tool : chat.tools) {
    out += out.back() == '[' ? "{" : ",{";
    append_text(out, "name", tool.name);
    if (!tool.description.empty()) append_text(out, "description", tool.description);
    append_raw(out, "input_schema", object_schema(tool.parameters));
    if (tool.strict) append_raw(out, "strict", "true");
    out += "}";
  }
  out += "]";
  const ToolChoice choice = chat.tool_choice.value_or(ToolChoice::kAuto);
  const bool alone = chat.parallel_calls.has_value() && !*chat.parallel_calls && choice != ToolChoice::kNone;
  if (!chat.tool_choice && !alone) return;
  append_raw(out, "tool_choice", "{");
  append_text(out, "type",
              choice == ToolChoice::kAuto       ? "auto"
              : choice == ToolChoice::kNone     ? "none"
              : choice == ToolChoice::kRequired ? "any"
                                                : "tool");
  if (choice == ToolChoice::kNamed) append_text(out, "name", chat.tool_name);
  if (alone) append_raw(out, "disable_parallel_tool_use", "true");
  out += "}";
}

bool is_zero(std::string_view number) { return number.find_first_of("123456789") == std::string_view::npos; }

// Anthropic's ends at 1, where others go to 2.
void append_temperature(std::string& out, std::string_view temperature, std::vector<std::string>& dropped) {
  double value = 0;
  std::from_chars(temperature.data(), temperature.data() + temperature.size(), value);
  if (value > 1) dropped.emplace_back("temperature");
  append_raw(out, "temperature", value > 1 ? "1" : temperature);
}

std::string_view effort_of(std::string_view word) {
  if (word == "minimal") return "low";
  return word == "low" || word == "medium" || word == "high" ? word : "max";
}

void append_thinking(std::string& out, const Conversation& chat, const Recipient& recipient,
                     std::vector<std::string>& dropped) {
  const bool off = chat.thinks.has_value() && !*chat.thinks;
  if (off && recipient.may_be_silenced) {
    append_raw(out, "thinking", R"({"type":"disabled"})");
  } else if (chat.thinks) {
    dropped.emplace_back("thinking");
  }
  std::string config = "{";
  if (!chat.effort.empty() && !off) append_text(config, "effort", effort_of(chat.effort));
  if (chat.form == AnswerForm::kSchema) {
    append_raw(config, "format", R"({"type":"json_schema","schema":)");
    config.append(chat.schema).append("}");
  }
  if (config.size() > 1) append_raw(out, "output_config", config + "}");
}

Refusal refused(const Conversation& chat) {
  if (chat.logprobs || !chat.top_logprobs.empty()) return not_carried("logprobs", "Anthropic's API has none");
  if (chat.form == AnswerForm::kJson)
    return not_carried("response_format", "Anthropic's API knows only JSON by a schema");
  if (!chat.min_p.empty()) return not_carried("min_p");
  if (!chat.repeat_penalty.empty()) return not_carried("repeat_penalty");
  if (!is_zero(chat.presence_penalty)) return not_carried("presence_penalty");
  if (!is_zero(chat.frequency_penalty)) return not_carried("frequency_penalty");
  return std::nullopt;
}

}  // namespace

Refusal MessagesFormat::read_request(JsonTree::Value body, Conversation& into) const {
  into.include_usage = true;
  for (const Value member : body) {
    if (auto refusal = take_member(member, into)) return refusal;
  }
  return std::nullopt;
}

Refusal MessagesFormat::write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                      std::vector<std::string>& dropped) const {
  if (auto refusal = refused(chat)) return refusal;
  out += "{";
  append_text(out, "model", chat.model);
  append_raw(out, "max_tokens", std::to_string(chat.max_tokens > 0 ? chat.max_tokens : kUsualAnswer));
  append_system(out, chat);
  append_messages(out, chat);
  if (chat.stream) append_raw(out, "stream", "true");
  if (recipient.fixed_sampling) {
    for (const auto& [name, value] :
         {std::pair("temperature", chat.temperature), std::pair("top_p", chat.top_p), std::pair("top_k", chat.top_k)}) {
      if (!value.empty()) dropped.emplace_back(name);
    }
  } else {
    if (!chat.temperature.empty()) append_temperature(out, chat.temperature, dropped);
    append_set(out, "top_p", chat.top_p);
    append_set(out, "top_k", chat.top_k);
  }
  if (!chat.seed.empty()) dropped.emplace_back("seed");
  if (!chat.stop.empty()) {
    append_raw(out, "stop_sequences", "[");
    for (const std::string_view one : chat.stop) out.append(out.back() == '[' ? "\"" : ",\"").append(one).append("\"");
    out += "]";
  }
  append_tools(out, chat);
  append_thinking(out, chat, recipient, dropped);
  if (!chat.user.empty()) append_raw(out, "metadata", R"({"user_id":")" + std::string(chat.user) + "\"}");
  out += "}";
  return std::nullopt;
}

}  // namespace spillway::api::anthropic
