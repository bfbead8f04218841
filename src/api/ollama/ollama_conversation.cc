// The bodies of /api/chat and /api/generate, taken apart and put together.
#include <algorithm>
#include <array>
#include <utility>

#include "api/ollama/ollama_format.h"

namespace spillway::api::ollama {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;
using Kind = Content::Kind;

// How the server runs the model, not what it is to say.
constexpr std::array<std::string_view, 16> kRuntimeOptions{
    "num_ctx",  "num_keep",  "num_gpu", "main_gpu",   "num_thread",    "num_batch",        "numa",      "low_vram",
    "use_mmap", "use_mlock", "f16_kv",  "vocab_only", "repeat_last_n", "penalize_newline", "typical_p", "tfs_z"};

Refusal take_option(Value value, Conversation& into) {
  const std::string_view key = value.key();
  if (!value) return std::nullopt;
  if (key == "temperature") return take_number(value, into.temperature);
  if (key == "top_p") return take_number(value, into.top_p);
  if (key == "top_k") return take_number(value, into.top_k);
  if (key == "min_p") return take_number(value, into.min_p);
  if (key == "seed") return take_number(value, into.seed);
  if (key == "presence_penalty") return take_number(value, into.presence_penalty);
  if (key == "frequency_penalty") return take_number(value, into.frequency_penalty);
  if (key == "repeat_penalty") return take_number(value, into.repeat_penalty);
  if (key == "stop") return take_texts(value, into.stop);
  if (key == "num_predict") {
    if (auto refusal = take_count(value, into.max_tokens)) return refusal;
    if (into.max_tokens < 0) into.max_tokens = -1;  // no limit
    return std::nullopt;
  }
  if (std::ranges::find(kRuntimeOptions, key) == kRuntimeOptions.end())
    return not_carried("options." + std::string(key));
  into.dropped.push_back("options." + std::string(key));
  return std::nullopt;
}

Refusal take_images(Value images, std::vector<Content>& into) {
  if (!images) return std::nullopt;
  if (!images.is(Type::kArray)) return wrong_type("images", "an array of texts in base64");
  for (const Value image : images) {
    if (!image.is(Type::kString)) return wrong_type("images", "an array of texts in base64");
    // By its first bytes, as the server itself tells them.
    const std::string_view data = image.escaped();
    const std::string_view type = data.starts_with("/9j/")     ? "image/jpeg"
                                  : data.starts_with("UklGR")  ? "image/webp"
                                  : data.starts_with("R0lGOD") ? "image/gif"
                                                               : "image/png";
    into.push_back({.kind = Kind::kImageData, .text = data, .media_type = type});
  }
  return std::nullopt;
}

// Calls that no result has answered yet.
using Pending = std::vector<std::pair<std::string_view, std::string_view>>;  // id, name

Refusal take_calls(Value calls, Conversation& into, Message& message, Pending& pending) {
  if (!calls) return std::nullopt;
  if (!calls.is(Type::kArray)) return wrong_type("tool_calls", "an array");
  for (const Value call : calls) {
    const Value function = call["function"];
    if (!function["name"].is(Type::kString))
      return wrong_type("tool_calls", "an array of calls of functions with a name and arguments");
    std::string_view id = call["id"].escaped();
    if (id.empty()) id = into.keep("call_" + std::to_string(into.kept.size()));
    Content content{.kind = Kind::kCall, .id = id, .name = function["name"].escaped()};
    take_arguments(function["arguments"], into, content);
    message.content.push_back(content);
    pending.emplace_back(id, function["name"].escaped());
  }
  return std::nullopt;
}

// The id of the call that a result answers: it tells that, or the tool's name, or it is the next.
std::string_view answered_call(Value message, Pending& pending) {
  if (const std::string_view id = message["tool_call_id"].escaped(); !id.empty()) {
    std::erase_if(pending, [&](const auto& one) { return one.first == id; });
    return id;
  }
  std::string_view name = message["tool_name"].escaped();
  if (name.empty()) name = message["name"].escaped();  // before tool_name was there
  auto found = std::ranges::find_if(pending, [&](const auto& one) { return name.empty() || one.second == name; });
  if (found == pending.end()) return {};
  const std::string_view id = found->first;
  pending.erase(found);
  return id;
}

Refusal take_message(Value value, Conversation& into, Pending& pending) {
  if (!value.is(Type::kObject)) return wrong_type("messages", "an array of objects");
  const std::string_view role = value["role"].escaped();
  Message message;
  std::string_view text;
  if (auto refusal = take_text(value["content"], text)) return refusal;
  if (role == "tool") {
    Content result{.kind = Kind::kResult, .id = answered_call(value, pending)};
    if (result.id.empty()) return invalid_request("a message of role tool answers no call before it", "messages");
    result.parts = into.keep(std::vector<Content>{{.text = text}});
    if (!into.messages.empty() && !into.messages.back().content.empty() &&
        into.messages.back().content.back().kind == Kind::kResult) {
      into.messages.back().content.push_back(result);
      return std::nullopt;
    }
    message.content.push_back(result);
  } else if (role == "system" || role == "user" || role == "assistant") {
    message.role = role == "system" ? Role::kSystem : role == "user" ? Role::kUser : Role::kAssistant;
    if (const std::string_view thinking = value["thinking"].escaped(); !thinking.empty())
      message.content.push_back({.kind = Kind::kReasoning, .text = thinking});
    if (!text.empty()) message.content.push_back({.text = text});
    if (auto refusal = take_images(value["images"], message.content)) return refusal;
    if (auto refusal = take_calls(value["tool_calls"], into, message, pending)) return refusal;
  } else {
    return wrong_type("role", "system, user, assistant or tool");
  }
  into.messages.push_back(std::move(message));
  return std::nullopt;
}

Refusal take_format(Value format, Conversation& into) {
  if (format.is(Type::kObject)) {
    into.form = AnswerForm::kSchema;
    into.schema = format.raw();
  } else if (format.escaped() == "json") {
    into.form = AnswerForm::kJson;
  } else if (!format.is(Type::kString) || !format.escaped().empty()) {
    return wrong_type("format", "\"json\" or a JSON schema");
  }
  return std::nullopt;
}

Refusal take_think(Value value, Conversation& into) {
  if (value.is(Type::kBoolean)) return take_flag(value, into.thinks);
  if (!value.is(Type::kString)) return wrong_type("think", "true, false, low, medium or high");
  into.thinks = true;
  into.effort = value.escaped();
  return std::nullopt;
}

Refusal take_member(Value value, Conversation& into) {
  const std::string_view key = value.key();
  if (key == "model") return take_text(value, into.model);
  if (key == "stream") return std::nullopt;
  if (!value) return std::nullopt;
  if (key == "messages") {
    Pending pending;
    for (const Value message : value) {
      if (auto refusal = take_message(message, into, pending)) return refusal;
    }
    return std::nullopt;
  }
  if (key == "tools") return take_functions(value, into);
  if (key == "format") return take_format(value, into);
  if (key == "think") return take_think(value, into);
  if (key == "top_logprobs") return take_number(value, into.top_logprobs);
  if (key == "logprobs") {
    std::optional<bool> flag;
    if (auto refusal = take_flag(value, flag)) return refusal;
    into.logprobs = flag.value_or(false);
    return std::nullopt;
  }
  if (key == "options") {
    if (!value.is(Type::kObject)) return wrong_type("options", "an object");
    for (const Value option : value) {
      if (auto refusal = take_option(option, into)) return refusal;
    }
    return std::nullopt;
  }
  if (key == "keep_alive") {
    into.dropped.emplace_back(key);
    return std::nullopt;
  }
  return not_carried(key);
}

// The members that only /api/generate has. True: it was one.
bool is_generates_own(std::string_view key) {
  return key == "prompt" || key == "system" || key == "images" || key == "suffix" || key == "template" ||
         key == "raw" || key == "context";
}

Refusal take_prompt(Value body, Conversation& into) {
  for (const std::string_view name : {"suffix", "template", "context"}) {
    if (!body[name].empty() || !body[name].escaped().empty()) return not_carried(name);
  }
  if (body["raw"].is_true()) return not_carried("raw");
  std::string_view text;
  if (auto refusal = take_text(body["system"], text)) return refusal;
  if (!text.empty()) into.messages.push_back({.role = Role::kSystem, .content = {{.text = text}}});
  Message message;
  if (auto refusal = take_text(body["prompt"], text)) return refusal;
  message.content.push_back({.text = text});
  if (auto refusal = take_images(body["images"], message.content)) return refusal;
  into.messages.push_back(std::move(message));
  return std::nullopt;
}

std::string joined_text(const std::vector<Content>& content) {
  std::string out;
  for (const Content& one : content) {
    if (one.kind != Kind::kText) continue;
    if (!out.empty()) out += "\\n";
    out += one.text;
  }
  return out;
}

Refusal append_images(std::string& out, const std::vector<Content>& content) {
  bool any = false;
  for (const Content& one : content) {
    if (one.kind == Kind::kImageUrl) return not_carried("messages", "Ollama takes images only in base64");
    if (one.kind != Kind::kImageData) continue;
    if (!std::exchange(any, true)) append_raw(out, "images", "[");
    out.append(out.back() == '[' ? "\"" : ",\"").append(one.text).append("\"");
  }
  if (any) out += "]";
  return std::nullopt;
}

// The name of the tool whose call has that id.
std::string_view tool_of(const Conversation& chat, std::string_view id) {
  for (const Message& message : chat.messages) {
    for (const Content& one : message.content) {
      if (one.kind == Kind::kCall && one.id == id) return one.name;
    }
  }
  return {};
}

Refusal append_message(std::string& out, const Message& message, const Conversation& chat) {
  bool is_more_than_results = message.content.empty();
  for (const Content& one : message.content) {
    if (one.kind != Kind::kResult) {
      is_more_than_results = true;
      continue;
    }
    out += out.back() == '[' ? "{" : ",{";
    append_text(out, "role", "tool");
    append_text(out, "content", joined_text(one.inside()));
    append_text(out, "tool_name", tool_of(chat, one.id));
    append_text(out, "tool_call_id", one.id);
    if (auto refusal = append_images(out, one.inside())) return refusal;
    out += "}";
  }
  if (!is_more_than_results) return std::nullopt;
  out += out.back() == '[' ? "{" : ",{";
  append_text(out, "role",
              message.role == Role::kSystem ? "system"
              : message.role == Role::kUser ? "user"
                                            : "assistant");
  append_text(out, "content", joined_text(message.content));
  if (auto refusal = append_images(out, message.content)) return refusal;
  std::string calls;
  for (const Content& one : message.content) {
    if (one.kind == Kind::kReasoning) append_text(out, "thinking", one.text);
    if (one.kind != Kind::kCall) continue;
    calls += calls.empty() ? "[{" : ",{";
    append_text(calls, "id", one.id);
    append_raw(calls, "function", R"({"name":")" + std::string(one.name) + R"(","arguments":)");
    calls.append(one.text).append("}}");
  }
  if (!calls.empty()) append_raw(out, "tool_calls", calls + "]");
  out += "}";
  return std::nullopt;
}

void append_tools(std::string& out, const Conversation& chat) {
  if (chat.tools.empty() || chat.tool_choice == ToolChoice::kNone) return;
  append_raw(out, "tools", "[");
  for (const Tool& tool : chat.tools) {
    out += out.back() == '[' ? "{" : ",{";
    append_text(out, "type", "function");
    append_raw(out, "function", "{");
    append_text(out, "name", tool.name);
    if (!tool.description.empty()) append_text(out, "description", tool.description);
    if (!tool.parameters.empty()) append_raw(out, "parameters", object_schema(tool.parameters));
    out += "}}";
  }
  out += "]";
}

void append_options(std::string& out, const Conversation& chat) {
  std::string options = "{";
  append_set(options, "temperature", chat.temperature);
  append_set(options, "top_p", chat.top_p);
  append_set(options, "top_k", chat.top_k);
  append_set(options, "min_p", chat.min_p);
  append_set(options, "seed", chat.seed);
  append_set(options, "presence_penalty", chat.presence_penalty);
  append_set(options, "frequency_penalty", chat.frequency_penalty);
  append_set(options, "repeat_penalty", chat.repeat_penalty);
  if (chat.max_tokens >= 0) append_raw(options, "num_predict", std::to_string(chat.max_tokens));
  if (!chat.stop.empty()) {
    append_raw(options, "stop", "[");
    for (const std::string_view one : chat.stop)
      options.append(options.back() == '[' ? "\"" : ",\"").append(one).append("\"");
    options += "]";
  }
  if (options.size() > 1) append_raw(out, "options", options + "}");
}

}  // namespace

Refusal OllamaFormat::read_request(JsonTree::Value body, Conversation& into) const {
  into.include_usage = true;
  if (generates()) {
    if (auto refusal = take_prompt(body, into)) return refusal;
  }
  for (const Value member : body) {
    if (generates() && is_generates_own(member.key())) continue;
    if (auto refusal = take_member(member, into)) return refusal;
  }
  return std::nullopt;
}

Refusal OllamaFormat::write_request(const Conversation& chat, const Recipient&, std::string& out,
                                    std::vector<std::string>& dropped) const {
  if (chat.tool_choice == ToolChoice::kRequired || chat.tool_choice == ToolChoice::kNamed)
    return not_carried("tool_choice", "Ollama's models choose by themselves");
  out += "{";
  append_text(out, "model", chat.model);
  append_raw(out, "messages", "[");
  for (const Message& message : chat.messages) {
    if (auto refusal = append_message(out, message, chat)) return refusal;
  }
  out += "]";
  append_raw(out, "stream", chat.stream ? "true" : "false");
  append_tools(out, chat);
  append_options(out, chat);
  if (chat.form == AnswerForm::kJson) append_text(out, "format", "json");
  if (chat.form == AnswerForm::kSchema) append_raw(out, "format", chat.schema);
  if (chat.thinks.has_value() && !*chat.thinks) {
    append_raw(out, "think", "false");
  } else if (chat.effort == "low" || chat.effort == "medium" || chat.effort == "high") {
    append_text(out, "think", chat.effort);
  } else if (chat.thinks) {
    append_raw(out, "think", "true");
  } else if (!chat.effort.empty()) {
    dropped.emplace_back("effort");
  }
  if (chat.logprobs) append_raw(out, "logprobs", "true");
  append_set(out, "top_logprobs", chat.top_logprobs);
  if (chat.parallel_calls) dropped.emplace_back("parallel_tool_calls");
  if (!chat.user.empty()) dropped.emplace_back("user");
  out += "}";
  return std::nullopt;
}

}  // namespace spillway::api::ollama
