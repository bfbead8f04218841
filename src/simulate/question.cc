#include "simulate/question.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/foreign_json.h"

namespace spillway::simulate {

namespace {

using Json = nlohmann::json;

std::string text_of(const Json& message) {
  const auto content = message.find("content");
  if (content == message.end()) return {};
  if (content->is_string()) return content->get<std::string>();
  std::string out;
  if (!content->is_array()) return out;
  for (const Json& part : *content) {
    if (json::text_at(part, {"type"}) == "text") out += json::text_at(part, {"text"});
  }
  return out;
}

bool is_true(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && found->get<bool>();
}

bool is_false(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_boolean() && !found->get<bool>();
}

std::string word_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// In the ways of DeepSeek, DashScope, OpenAI and of chat templates.
bool thinking_is_off(const Json& body) {
  if (is_false(body, "enable_thinking") || word_of(body, "reasoning_effort") == "none") return true;
  const auto thinking = body.find("thinking");
  if (thinking != body.end() && thinking->is_object() && word_of(*thinking, "type") == "disabled") return true;
  const auto kwargs = body.find("chat_template_kwargs");
  return kwargs != body.end() && kwargs->is_object() && is_false(*kwargs, "enable_thinking");
}

// The form in which `body` tells a part of the answer; empty: it tells none.
std::string form_of(const Json& body) {
  if (body.contains("prefix") && body["prefix"].is_string()) return "prefix_field";
  const Json& last = body["messages"].back();
  if (word_of(last, "role") != "assistant") return {};
  if (is_true(last, "prefix")) return "prefix";
  if (is_true(last, "partial")) return "partial";
  if (is_true(body, "continue_final_message") && is_false(body, "add_generation_prompt"))
    return "continue_final_message";
  return "assistant";
}

// A user's last words, where they are the end of the assistant's turn before: it is to say them again and go on.
std::string anchor_of(const Json& messages) {
  if (messages.size() < 2) return {};
  const Json& wish = messages.back();
  const Json& part = messages[messages.size() - 2];
  if (word_of(wish, "role") != "user" || word_of(part, "role") != "assistant") return {};
  const std::string said = text_of(part);
  const std::string wanted = text_of(wish);
  for (std::size_t line = wanted.find('\n'); line != std::string::npos; line = wanted.find('\n', line + 1)) {
    const std::string anchor = wanted.substr(line + 1);
    if (!anchor.empty() && said.ends_with(anchor)) return anchor;
  }
  return {};
}

}  // namespace

std::vector<std::string> tokenize(std::string_view text) {
  constexpr std::size_t kLongest = 8;  // bytes of a word in one token
  std::vector<std::string> out;
  std::size_t at = 0;
  while (at < text.size()) {
    std::size_t end = at + 1;
    const auto is_ascii = [&](std::size_t place) { return static_cast<unsigned char>(text[place]) < 0x80; };
    if (is_ascii(at) && text[at] != '\n') {
      while (end < text.size() && end - at < kLongest && is_ascii(end) && text[end] != ' ' && text[end] != '\n') ++end;
    } else if (!is_ascii(at)) {
      while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    }
    out.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return out;
}

std::variant<Question, Refusal> read_question(std::string_view text, const Profile& profile) {
  const Json body = Json::parse(text, nullptr, false);
  if (!body.is_object()) return Refusal{400, "the body is not a JSON object"};
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array() || messages->empty() ||
      !std::ranges::all_of(*messages, [](const Json& one) { return one.is_object(); }))
    return Refusal{400, "messages has to be a list of at least one message"};
  if (const auto n = body.find("n"); n != body.end() && n->is_number() && *n != 1) return Refusal{400, "n has to be 1"};

  Question out;
  out.model = word_of(body, "model");
  out.stream = is_true(body, "stream");
  const auto options = body.find("stream_options");
  out.include_usage = options != body.end() && options->is_object() && is_true(*options, "include_usage");
  for (const char* const key : {"max_completion_tokens", "max_tokens"}) {
    if (const auto limit = body.find(key); limit != body.end() && limit->is_number_integer())
      out.max_tokens = limit->get<std::int64_t>();
  }
  out.thinks = !thinking_is_off(body);
  const auto format = body.find("response_format");
  out.wants_json = format != body.end() && format->is_object() && word_of(*format, "type").starts_with("json");
  if (const auto tools = body.find("tools"); tools != body.end() && tools->is_array() && !tools->empty()) {
    const Json& first = tools->front();
    if (first.is_object() && first.contains("function")) out.tool = word_of(first["function"], "name");
  }

  out.form = form_of(body);
  if (!out.form.empty() && std::ranges::count(profile.resume, out.form) == 0)
    return Refusal{400, "to go on with an assistant's message is not supported in the form " + out.form};
  std::size_t taken = messages->size();  // of the messages, what the answer is made up from
  if (out.form == "prefix_field") {
    out.prefix = body["prefix"].get<std::string>();
  } else if (!out.form.empty()) {
    out.prefix = text_of(messages->back());
    --taken;
  } else if (out.anchor = anchor_of(*messages); !out.anchor.empty()) {
    out.form = "ask";
    taken -= 2;
    out.prefix = text_of((*messages)[taken]);
  }
  for (std::size_t i = 0; i < messages->size(); ++i) {
    const std::string said = text_of((*messages)[i]);
    out.prompt_tokens += static_cast<std::int64_t>(tokenize(said).size());
    if (i < taken) out.subject += word_of((*messages)[i], "role") + ":" + said + "\n";
  }
  return out;
}

}  // namespace spillway::simulate
