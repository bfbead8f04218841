#include "api/edit.h"

#include <simdjson.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "api/thread_parser.h"
#include "base/byte_buffer.h"

namespace spillway::api {

namespace {

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

Edit member_edit(std::string_view body, std::size_t object_end, std::string_view object, std::string_view name,
                 std::string_view value) {
  const std::string member = "\"" + std::string(name) + "\":" + std::string(value);
  if (object.empty()) {
    if (const auto place = find_top_value(body, name)) return {place->first, place->second, std::string(value)};
    return {object_end, object_end, "," + member};
  }
  const auto outer = find_top_value(body, object);
  if (!outer) return {object_end, object_end, ",\"" + std::string(object) + "\":{" + member + "}"};
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

void append_call_id_edits(std::string_view body, CallIds wanted, std::vector<Edit>& edits) {
  const std::string_view mark = wanted == CallIds::kWord ? "\"tool_use_id\"" : "\"tool_call_id\"";
  if (wanted == CallIds::kAny || body.find(mark) == std::string_view::npos) return;
  JsonTree tree;
  if (!tree.parse(body)) return;
  const auto mend = [&](JsonTree::Value id) {
    if (!id.is(JsonTree::Type::kString)) return;
    std::string fits = fitting_id(id.escaped(), wanted);
    if (fits == id.escaped()) return;
    const auto begin = static_cast<std::size_t>(id.escaped().data() - body.data());
    edits.push_back({begin, begin + id.escaped().size(), std::move(fits)});
  };
  for (const JsonTree::Value message : tree.root()["messages"]) {
    mend(message["tool_call_id"]);
    for (const JsonTree::Value call : message["tool_calls"]) mend(call["id"]);
    if (!message["content"].is(JsonTree::Type::kArray) || wanted != CallIds::kWord) continue;
    for (const JsonTree::Value block : message["content"]) {
      mend(block["tool_use_id"]);
      if (block["type"].escaped() == "tool_use") mend(block["id"]);
    }
  }
}

std::vector<std::string_view> splice(std::string_view body, std::vector<Edit>& edits) {
  std::ranges::sort(edits, {}, &Edit::begin);
  std::vector<std::string_view> pieces;
  std::size_t at = 0;
  for (const Edit& edit : edits) {
    pieces.push_back(body.substr(at, edit.begin - at));
    pieces.push_back(edit.text);
    at = edit.end;
  }
  pieces.push_back(body.substr(at));
  return pieces;
}

}  // namespace spillway::api
