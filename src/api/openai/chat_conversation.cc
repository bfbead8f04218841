// The body of a chat completion request, taken apart and put together.
#include <algorithm>
#include <array>
#include <utility>

#include "api/conversation.h"
#include "api/openai/chat_format.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;
using Kind = Content::Kind;

// They say how the provider may work, or for whom; the answer is the same without them.
constexpr std::array<std::string_view, 12> kMayBeDropped{
    "metadata",  "service_tier",  "prompt_cache_key",     "prompt_cache_retention", "safety_identifier", "prediction",
    "verbosity", "cache_control", "chat_template_kwargs", "cache_prompt",           "id_slot",           "user_id"};
constexpr std::array<std::string_view, 2> kElsewhere{"stream", "stream_options"};  // see decode_request()

// A data address as base64 and its type, any other as it is.
Content image(std::string_view url) {
  constexpr std::string_view kMark = ";base64,";
  const std::size_t mark = url.find(kMark);
  if (!url.starts_with("data:") || mark == std::string_view::npos) return {.kind = Kind::kImageUrl, .text = url};
  return {.kind = Kind::kImageData, .text = url.substr(mark + kMark.size()), .media_type = url.substr(5, mark - 5)};
}

Refusal take_content(Value content, std::vector<Content>& into) {
  if (!content) return std::nullopt;
  if (content.is(Type::kString)) {
    into.push_back({.text = content.escaped()});
    return std::nullopt;
  }
  if (!content.is(Type::kArray)) return wrong_type("content", "a string or an array of parts");
  for (const Value part : content) {
    const std::string_view type = part["type"].escaped();
    if (type == "text" || type == "refusal") {
      if (!part[type].is(Type::kString)) return wrong_type("content", "parts with a text each");
      into.push_back({.text = part[type].escaped()});
    } else if (type == "image_url") {
      const Value url = part["image_url"].is(Type::kString) ? part["image_url"] : part["image_url"]["url"];
      if (!url.is(Type::kString)) return wrong_type("image_url", "an object with a url");
      into.push_back(image(url.escaped()));
    } else if (type.empty()) {
      return wrong_type("content", "a string or an array of parts with a type each");
    } else {
      return not_carried("messages", "a part of type \"" + std::string(type) + "\"");
    }
  }
  return std::nullopt;
}

Refusal take_calls(Value calls, Conversation& into, Message& message) {
  if (!calls) return std::nullopt;
  if (!calls.is(Type::kArray)) return wrong_type("tool_calls", "an array");
  for (const Value call : calls) {
    const Value function = call["function"];
    if (!call["id"].is(Type::kString) || !function["name"].is(Type::kString))
      return wrong_type("tool_calls", "an array of calls with an id, and a function with a name and arguments");
    Content content{.kind = Kind::kCall, .id = call["id"].escaped(), .name = function["name"].escaped()};
    take_arguments(function["arguments"], into, content);
    message.content.push_back(content);
  }
  return std::nullopt;
}

Refusal take_message(Value value, Conversation& into) {
  if (!value.is(Type::kObject)) return wrong_type("messages", "an array of objects");
  const std::string_view role = value["role"].escaped();
  Message message;
  if (role == "tool") {
    Content result{.kind = Kind::kResult, .id = value["tool_call_id"].escaped()};
    if (result.id.empty()) return wrong_type("tool_call_id", "the id of the call that it answers");
    std::vector<Content> parts;
    if (auto refusal = take_content(value["content"], parts)) return refusal;
    result.parts = into.keep(std::move(parts));
    // Results of one turn stand together.
    if (!into.messages.empty() && into.messages.back().role == Role::kUser && !into.messages.back().content.empty() &&
        into.messages.back().content.back().kind == Kind::kResult) {
      into.messages.back().content.push_back(result);
      return std::nullopt;
    }
    message.content.push_back(result);
  } else if (role == "assistant") {
    message.role = Role::kAssistant;
    for (const std::string_view name : {"reasoning_content", "reasoning"}) {
      if (const Value reasoning = value[name]; reasoning.is(Type::kString) && !reasoning.escaped().empty()) {
        message.content.push_back({.kind = Kind::kReasoning, .text = reasoning.escaped()});
        break;
      }
    }
    if (auto refusal = take_content(value["content"], message.content)) return refusal;
    if (auto refusal = take_calls(value["tool_calls"], into, message)) return refusal;
    if (value["function_call"]) return not_carried("function_call", "the form before tool_calls");
    if (value["audio"]) return not_carried("messages", "an answer in sound");
  } else if (role == "user" || role == "system" || role == "developer") {
    message.role = role == "user" ? Role::kUser : Role::kSystem;
    if (auto refusal = take_content(value["content"], message.content)) return refusal;
  } else {
    return wrong_type("role", "system, developer, user, assistant or tool");
  }
  into.messages.push_back(std::move(message));
  return std::nullopt;
}

Refusal take_choice(Value choice, Conversation& into) {
  const std::string_view word = choice.escaped();
  if (word == "auto") {
    into.tool_choice = ToolChoice::kAuto;
  } else if (word == "none") {
    into.tool_choice = ToolChoice::kNone;
  } else if (word == "required") {
    into.tool_choice = ToolChoice::kRequired;
  } else if (choice["type"].escaped() == "function" && !choice["function"]["name"].escaped().empty()) {
    into.tool_choice = ToolChoice::kNamed;
    into.tool_name = choice["function"]["name"].escaped();
  } else if (choice.is(Type::kObject) && choice["type"].is(Type::kString)) {
    return not_carried("tool_choice");
  } else {
    return wrong_type("tool_choice", "auto, none, required, or an object that names a function");
  }
  return std::nullopt;
}

Refusal take_format(Value format, Conversation& into) {
  const std::string_view type = format["type"].escaped();
  if (type == "text") return std::nullopt;
  if (type == "json_object") {
    into.form = AnswerForm::kJson;
  } else if (type == "json_schema") {
    const Value schema = format["json_schema"];
    if (!schema["schema"].is(Type::kObject)) return wrong_type("response_format", "an object with a json_schema");
    into.form = AnswerForm::kSchema;
    into.schema = schema["schema"].raw();
    into.schema_name = schema["name"].escaped();
    into.schema_strict = schema["strict"].is_true();
  } else {
    return type.empty() ? wrong_type("response_format", "an object with a type") : not_carried("response_format");
  }
  return std::nullopt;
}

// Thinking, in the words of DeepSeek, Zhipu, Moonshot and of DashScope.
Refusal take_thinking(Value value, Conversation& into) {
  if (value.key() == "enable_thinking") return take_flag(value, into.thinks);
  const std::string_view type = value["type"].escaped();
  if (type.empty()) return wrong_type("thinking", "an object with a type");
  into.thinks = type != "disabled";
  return std::nullopt;
}

Refusal take_member(Value value, Conversation& into) {
  const std::string_view key = value.key();
  if (key == "model") return take_text(value, into.model);
  if (key == "messages") {
    for (const Value message : value) {
      if (auto refusal = take_message(message, into)) return refusal;
    }
    return std::nullopt;
  }
  if (!value) return std::nullopt;
  if (key == "max_tokens" || key == "max_completion_tokens") return take_count(value, into.max_tokens);
  if (key == "temperature") return take_number(value, into.temperature);
  if (key == "top_p") return take_number(value, into.top_p);
  if (key == "top_k") return take_number(value, into.top_k);
  if (key == "min_p") return take_number(value, into.min_p);
  if (key == "seed") return take_number(value, into.seed);
  if (key == "presence_penalty") return take_number(value, into.presence_penalty);
  if (key == "frequency_penalty") return take_number(value, into.frequency_penalty);
  if (key == "repeat_penalty" || key == "repetition_penalty") return take_number(value, into.repeat_penalty);
  if (key == "top_logprobs") return take_number(value, into.top_logprobs);
  if (key == "stop") return take_texts(value, into.stop);
  if (key == "tools") return take_functions(value, into);
  if (key == "tool_choice") return take_choice(value, into);
  if (key == "parallel_tool_calls") return take_flag(value, into.parallel_calls);
  if (key == "response_format") return take_format(value, into);
  if (key == "user") return take_text(value, into.user);
  if (key == "thinking" || key == "enable_thinking") return take_thinking(value, into);
  if (key == "reasoning_effort") {
    if (auto refusal = take_text(value, into.effort)) return refusal;
    if (into.effort == "none") into.thinks = false;
    return std::nullopt;
  }
  if (key == "logprobs") {
    std::optional<bool> flag;
    if (auto refusal = take_flag(value, flag)) return refusal;
    into.logprobs = flag.value_or(false);
    return std::nullopt;
  }
  if (key == "n") {
    std::int64_t n = 1;
    if (auto refusal = take_count(value, n)) return refusal;
    return n == 1 ? Refusal() : not_carried("n", "one answer at a time");
  }
  if (key == "store") return value.is_true() ? not_carried("store") : Refusal();
  if (key == "logit_bias" && value.empty()) return std::nullopt;
  if (key == "modalities" && value.raw().find("audio") == std::string_view::npos) return std::nullopt;
  if (std::ranges::find(kElsewhere, key) != kElsewhere.end()) return std::nullopt;
  if (std::ranges::find(kMayBeDropped, key) != kMayBeDropped.end()) {
    into.dropped.emplace_back(key);
    return std::nullopt;
  }
  return not_carried(key);
}

void append_image(std::string& out, const Content& content) {
  out += R"({"type":"image_url","image_url":{"url":")";
  if (content.kind == Kind::kImageData) out.append("data:").append(content.media_type).append(";base64,");
  out.append(content.text).append("\"}}");
}

bool is_shown(const Content& content) {
  return content.kind == Kind::kText || content.kind == Kind::kImageData || content.kind == Kind::kImageUrl;
}

// A text where it is one text, else the list of its parts. Several texts are parts too: what was apart stays so.
void append_content(std::string& out, const std::vector<Content>& content, bool only_text) {
  begin_member(out, "content");
  std::size_t shown = 0;
  for (const Content& one : content) shown += is_shown(one) ? 1 : 0;
  const bool one_text = shown == 1 && std::ranges::all_of(content, [](const Content& one) {
                          return !is_shown(one) || one.kind == Kind::kText;
                        });
  if (shown == 0 && !only_text) {
    out += "null";
    return;
  }
  if (one_text || only_text || shown == 0) {
    // Servers of open models mostly take only a text from those who are not users.
    out += "\"";
    bool first = true;
    for (const Content& one : content) {
      if (one.kind != Kind::kText) continue;
      if (!std::exchange(first, false)) out += "\\n";
      out += one.text;
    }
    out += "\"";
    return;
  }
  out += "[";
  for (const Content& one : content) {
    if (!is_shown(one)) continue;
    if (out.back() != '[') out += ",";
    if (one.kind == Kind::kText) {
      out.append(R"({"type":"text","text":")").append(one.text).append("\"}");
    } else {
      append_image(out, one);
    }
  }
  out += "]";
}

void append_message(std::string& out, const Message& message, bool with_reasoning, CallIds ids) {
  std::vector<Content> images;  // of results, which only a user may show
  for (const Content& one : message.content) {
    if (one.kind != Kind::kResult) continue;
    if (out.back() != '[') out += ",";
    out += R"({"role":"tool")";
    append_text(out, "tool_call_id", fitting_id(one.id, ids));
    append_content(out, one.inside(), true);
    out += "}";
    for (const Content& inside : one.inside()) {
      if (inside.kind != Kind::kText && is_shown(inside)) images.push_back(inside);
    }
  }
  const bool only_results =
      std::ranges::all_of(message.content, [](const Content& one) { return one.kind == Kind::kResult; });
  if (only_results && !message.content.empty()) {
    if (images.empty()) return;
    out += R"(,{"role":"user")";
    append_content(out, images, false);
    out += "}";
    return;
  }
  if (out.back() != '[') out += ",";
  out += message.role == Role::kSystem ? R"({"role":"system")"
         : message.role == Role::kUser ? R"({"role":"user")"
                                       : R"({"role":"assistant")";
  std::vector<Content> content = message.content;
  std::ranges::move(images, std::back_inserter(content));
  append_content(out, content, message.role == Role::kSystem);
  std::string calls;
  for (const Content& one : message.content) {
    if (one.kind == Kind::kReasoning && with_reasoning) append_text(out, "reasoning_content", one.text);
    if (one.kind != Kind::kCall) continue;
    calls += calls.empty() ? "[" : ",";
    calls.append(R"({"id":")")
        .append(fitting_id(one.id, ids))
        .append(R"(","type":"function","function":{"name":")")
        .append(one.name);
    calls.append(R"(","arguments":)");
    if (one.said.empty()) {
      json::append_string(calls, one.text);
    } else {
      calls.append("\"").append(one.said).append("\"");
    }
    calls += "}}";
  }
  if (!calls.empty()) append_raw(out, "tool_calls", calls + "]");
  out += "}";
}

void append_tools(std::string& out, const Conversation& chat) {
  if (chat.tools.empty()) return;
  begin_member(out, "tools");
  out += "[";
  for (const Tool& tool : chat.tools) {
    if (out.back() != '[') out += ",";
    out += R"({"type":"function","function":{)";
    append_text(out, "name", tool.name);
    if (!tool.description.empty()) append_text(out, "description", tool.description);
    if (!tool.parameters.empty()) append_raw(out, "parameters", object_schema(tool.parameters));
    if (tool.strict) append_raw(out, "strict", "true");
    out += "}}";
  }
  out += "]";
  if (chat.tool_choice) {
    switch (*chat.tool_choice) {
      case ToolChoice::kAuto: append_text(out, "tool_choice", "auto"); break;
      case ToolChoice::kNone: append_text(out, "tool_choice", "none"); break;
      case ToolChoice::kRequired: append_text(out, "tool_choice", "required"); break;
      case ToolChoice::kNamed:
        append_raw(out, "tool_choice",
                   R"({"type":"function","function":{"name":")" + std::string(chat.tool_name) + "\"}}");
        break;
    }
  }
  if (chat.parallel_calls) append_raw(out, "parallel_tool_calls", *chat.parallel_calls ? "true" : "false");
}

void append_format(std::string& out, const Conversation& chat) {
  if (chat.form == AnswerForm::kJson) append_raw(out, "response_format", R"({"type":"json_object"})");
  if (chat.form != AnswerForm::kSchema) return;
  std::string format = R"({"type":"json_schema","json_schema":{)";
  append_text(format, "name", chat.schema_name.empty() ? std::string_view("answer") : chat.schema_name);
  append_raw(format, "schema", chat.schema);
  if (chat.schema_strict) append_raw(format, "strict", "true");
  append_raw(out, "response_format", format + "}}");
}

}  // namespace

Refusal ChatFormat::read_request(JsonTree::Value body, Conversation& into) const {
  for (const Value member : body) {
    if (auto refusal = take_member(member, into)) return refusal;
  }
  return std::nullopt;
}

Refusal ChatFormat::write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                  std::vector<std::string>& dropped) const {
  out += "{";
  append_text(out, "model", chat.model);
  begin_member(out, "messages");
  out += "[";
  for (const Message& message : chat.messages)
    append_message(out, message, recipient.takes_reasoning, recipient.call_ids);
  out += "]";
  if (chat.stream) {
    append_raw(out, "stream", "true");
    if (chat.include_usage) append_raw(out, "stream_options", R"({"include_usage":true})");
  }
  if (chat.max_tokens >= 0)
    append_raw(out, recipient.max_completion_tokens ? "max_completion_tokens" : "max_tokens",
               std::to_string(chat.max_tokens));
  append_set(out, "temperature", chat.temperature);
  append_set(out, "top_p", chat.top_p);
  append_set(out, "seed", chat.seed);
  append_set(out, "presence_penalty", chat.presence_penalty);
  append_set(out, "frequency_penalty", chat.frequency_penalty);
  // Servers of open models have them; the API itself refuses what it does not know.
  const auto open = [&](std::string_view name, std::string_view value) {
    if (value.empty()) return;
    if (recipient.open_sampling) {
      append_raw(out, name, value);
    } else {
      dropped.emplace_back(name);
    }
  };
  open("top_k", chat.top_k);
  open("min_p", chat.min_p);
  open("repeat_penalty", chat.repeat_penalty);
  if (!chat.stop.empty()) {
    begin_member(out, "stop");
    out += "[";
    for (const std::string_view one : chat.stop) out.append(out.back() == '[' ? "\"" : ",\"").append(one).append("\"");
    out += "]";
  }
  if (chat.logprobs) append_raw(out, "logprobs", "true");
  append_set(out, "top_logprobs", chat.top_logprobs);
  append_tools(out, chat);
  append_format(out, chat);
  if (!chat.effort.empty() && recipient.takes_effort) {
    append_text(out, "reasoning_effort", chat.effort);
  } else if (!chat.effort.empty()) {
    dropped.emplace_back("effort");
  }
  if (!chat.user.empty()) append_text(out, "user", chat.user);
  out += "}";
  return std::nullopt;
}

}  // namespace spillway::api::openai
