#include "api/openai/continuation.h"

#include <simdjson.h>

#include <algorithm>
#include <array>

#include "api/openai/thread_parser.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

// At most about so many tokens: three bytes of ASCII each, one other character each.
std::int64_t tokens_in(std::string_view text) {
  const auto ascii = std::count_if(text.begin(), text.end(), [](char c) { return static_cast<signed char>(c) >= 0; });
  const auto others = std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) == 0xC0; });
  return (ascii + 2) / 3 + others;
}

namespace ondemand = simdjson::ondemand;

// Where a member's value lies in `body`; nothing: there is no such member.
std::optional<std::pair<std::size_t, std::size_t>> find_value(std::string_view body, ondemand::object object,
                                                              std::string_view name) {
  std::optional<std::pair<std::size_t, std::size_t>> found;
  for (auto field : object) {
    std::string_view key;
    std::string_view text;
    ondemand::value value;
    if (field.unescaped_key().get(key)) return std::nullopt;
    const bool is_it = key == name;
    if (field.value().get(value) || simdjson::to_json_string(value).get(text)) return std::nullopt;
    while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
      text.remove_suffix(1);
    const auto begin = static_cast<std::size_t>(text.data() - body.data());
    if (is_it) found = {begin, begin + text.size()};
  }
  return found;
}

std::optional<std::pair<std::size_t, std::size_t>> find_top_value(std::string_view body, std::string_view name) {
  ThreadParser parser;
  ondemand::document document;
  ondemand::object top;
  const simdjson::padded_string_view padded(body, body.size() + ByteBuffer::kPadding);
  if (parser->iterate(padded).get(document) || document.get_object().get(top)) return std::nullopt;
  return find_value(body, top, name);
}

}  // namespace

std::optional<ResumeForm> resume_form_of(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, ResumeForm>, 8> kForms{
      {{"prefix", ResumeForm::kPrefix},
       {"partial", ResumeForm::kPartial},
       {"prefix_field", ResumeForm::kPrefixField},
       {"continue_final_message", ResumeForm::kContinueFinalMessage},
       {"assistant", ResumeForm::kAssistant},
       {"ask", ResumeForm::kAsk},
       {"replay", ResumeForm::kReplay},
       {"none", ResumeForm::kNone}}};
  for (const auto& [known, form] : kForms) {
    if (word == known) return form;
  }
  return std::nullopt;
}

Edit member_edit(std::string_view body, const ChatRequest& request, std::string_view object, std::string_view name,
                 std::string_view value) {
  const std::string member = "\"" + std::string(name) + "\":" + std::string(value);
  if (object.empty()) {
    if (const auto place = find_top_value(body, name)) return {place->first, place->second, std::string(value)};
    return {request.object_end, request.object_end, "," + member};
  }
  const auto outer = find_top_value(body, object);
  if (!outer) return {request.object_end, request.object_end, ",\"" + std::string(object) + "\":{" + member + "}"};
  const std::string_view inside = body.substr(outer->first, outer->second - outer->first);
  if (!inside.starts_with("{")) return {outer->first, outer->second, "{" + member + "}"};
  // Behind it lie the rest of the body and its padding.
  ThreadParser parser;
  ondemand::document document;
  ondemand::object members;
  std::string copy(inside);
  copy.append(ByteBuffer::kPadding, '\0');
  const simdjson::padded_string_view padded(copy.data(), inside.size(), copy.size());
  if (!parser->iterate(padded).get(document) && !document.get_object().get(members)) {
    if (const auto place = find_value(copy, members, name))
      return {outer->first + place->first, outer->first + place->second, std::string(value)};
  }
  const bool is_empty = inside.find_first_not_of(" \t\r\n", 1) == inside.size() - 1;
  return {outer->first + 1, outer->first + 1, member + (is_empty ? "" : ",")};
}

std::vector<Edit> continuation_edits(const ChatRequest& request, const Resumption& resumption) {
  std::vector<Edit> edits;
  // A model that begins anew says again what it has said, so it gets all of its tokens again.
  if (request.max_tokens > 0 && resumption.form != ResumeForm::kReplay && !resumption.prefix.empty()) {
    // What it is to repeat is no part of the rest.
    const std::int64_t left = request.max_tokens - static_cast<std::int64_t>(resumption.tokens_so_far) +
                              (resumption.form == ResumeForm::kAsk ? tokens_in(resumption.anchor) : 0);
    edits.push_back(
        {request.max_tokens_begin, request.max_tokens_end, std::to_string(std::max<std::int64_t>(left, 1))});
  }
  if (resumption.prefix.empty() || resumption.form == ResumeForm::kReplay || resumption.form == ResumeForm::kNone)
    return edits;
  std::string_view prefix = resumption.prefix;
  if (resumption.form == ResumeForm::kAssistant) {
    while (!prefix.empty() && std::string_view(" \t\r\n").find(prefix.back()) != std::string_view::npos)
      prefix.remove_suffix(1);
  }
  std::string quoted;
  json::append_string(quoted, prefix);
  if (resumption.form == ResumeForm::kPrefixField) {
    edits.push_back({request.object_end, request.object_end, ",\"prefix\":" + quoted});
    return edits;
  }
  if (resumption.form == ResumeForm::kAsk) {
    std::string asked;
    // In the user's voice: worded as an operator's notice, models take it for an injection (askalf/dario #1286).
    json::append_string(asked,
                        "My connection dropped and I did not get the end of your last message. Please continue it "
                        "exactly where it stopped. Begin by repeating these last words of it, then go on directly, "
                        "without any remark:\n" +
                            resumption.anchor);
    edits.push_back({request.messages_end, request.messages_end,
                     (request.messages_empty ? "" : ",") + (R"({"role":"assistant","content":)" + quoted) +
                         R"(},{"role":"user","content":)" + asked + "}"});
    return edits;
  }
  std::string message = (request.messages_empty ? "" : ",") + (R"({"role":"assistant","content":)" + quoted);
  if (resumption.form == ResumeForm::kPrefix) message += R"(,"prefix":true)";
  if (resumption.form == ResumeForm::kPartial) message += R"(,"partial":true)";
  edits.push_back({request.messages_end, request.messages_end, message + "}"});
  if (resumption.form == ResumeForm::kContinueFinalMessage) {
    edits.push_back(
        {request.object_end, request.object_end, R"(,"continue_final_message":true,"add_generation_prompt":false)"});
  }
  return edits;
}

}  // namespace spillway::api::openai
