#include "api/stream.h"

#include <algorithm>
#include <utility>

#include "api/json_reading.h"
#include "base/json_text.h"

namespace spillway::api {

namespace {

constexpr std::size_t kMaxErrorText = 300;  // bytes of a Backend's own words that are kept
constexpr std::size_t kEscape = 6;          // \ud83d

// A text, or a whole number written out; empty for anything else.
std::string short_text(JsonTree::Value value) {
  if (const auto number = value.integer()) return std::to_string(*number);
  // Only what is kept is decoded; an escape has at most six bytes for each that it stands for.
  return json::unescaped(value.escaped().substr(0, kMaxErrorText * kEscape)).substr(0, kMaxErrorText);
}

// Does it end with the first half of a surrogate pair? Its other half comes with the next event.
bool ends_with_half(std::string_view escaped) {
  if (escaped.size() < kEscape) return false;
  const std::string_view last = escaped.substr(escaped.size() - kEscape);
  if (last[0] != '\\' || last[1] != 'u' || (last[2] != 'd' && last[2] != 'D')) return false;
  if (std::string_view("89abAB").find(last[3]) == std::string_view::npos) return false;
  std::size_t marks = 0;  // "\\\\ud83d" is a backslash and text
  while (marks < escaped.size() - kEscape && escaped[escaped.size() - kEscape - 1 - marks] == '\\') ++marks;
  return marks % 2 == 0;
}

}  // namespace

UpstreamError error_of(JsonTree::Value value) {
  if (value.is(JsonTree::Type::kString)) return {short_text(value), {}, {}};
  return {short_text(value["message"]), short_text(value["type"]), short_text(value["code"])};
}

bool is_void_error(JsonTree::Value value) {
  if (value.is(JsonTree::Type::kBoolean)) return !value.is_true();
  return !value.is(JsonTree::Type::kNumber) && !carries_something(value);
}

std::string_view without_white_space_behind(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\r\n");
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

void StreamFacts::add_text(std::string_view escaped) {
  if (calls || escaped.empty() || !keeps_text) return;
  if (!half.empty() || ends_with_half(escaped)) {
    std::string joined = std::exchange(half, {});
    joined += escaped;
    if (ends_with_half(joined)) {
      half = joined.substr(joined.size() - kEscape);
      joined.resize(joined.size() - kEscape);
    }
    text += json::unescaped(joined);
  } else {
    text += json::unescaped(escaped);
  }
  if (text.size() > kMaxText) {
    opaque = true;
    text = std::string();
  }
}

void StreamFacts::take_back_calls() {
  if (!std::exchange(calls, false)) return;
  for (Choice& choice : choices) choice.tool_calls = choice.function_call = false;
  block = block_before_calls;
  blocks = blocks_before_calls;
}

bool StreamFacts::finished() const {
  return !choices.empty() && std::ranges::all_of(choices, [](const Choice& choice) { return choice.finish; });
}

UpstreamError read_error(std::string_view body) {
  JsonTree tree;
  if (!tree.parse(body)) return {};
  const JsonTree::Value error = tree.root()["error"];
  return error_of(error ? error : tree.root());
}

bool is_json(std::string_view body) {
  JsonTree tree;
  const JsonTree::Found found = tree.look_at(body);
  return found == JsonTree::Found::kObject || found == JsonTree::Found::kOther;
}

}  // namespace spillway::api
