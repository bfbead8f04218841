#include "api/json_tree.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <span>

#include "api/json_check.h"
#include "api/thread_parser.h"
#include "base/json_text.h"

namespace spillway::api {

namespace {

constexpr std::size_t kKeptNodes = 1u << 16;

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

bool is_white(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

}  // namespace

// One pass over the places that simdjson found: marks, and where texts, numbers and words begin. What it works with is
// in locals, since this is done for each token of each answer.
JsonTree::Found JsonTree::walk(std::span<const std::uint32_t> places) {
  enum class At : std::uint8_t { kValue, kFirstElement, kFirstKey, kKey, kBehindValue };
  if (nodes_.size() < places.size()) nodes_.resize(places.size());
  const std::string_view text = text_;
  const char* const bytes = text.data();
  const bool has_escapes = std::memchr(bytes, '\\', text.size()) != nullptr;
  Node* const nodes = nodes_.data();
  const std::size_t count = places.size();
  std::array<std::uint32_t, kMaxDepth> open;  // nodes
  std::size_t depth = 0;
  std::uint32_t used = 0;
  std::uint32_t key = 0;
  std::uint32_t key_size = 0;
  At at = At::kValue;
  // The end of what begins at a place: before the next, without the white space between them.
  const auto end_of = [&](std::size_t place) {
    std::size_t end = place + 1 < count ? places[place + 1] : text.size();
    while (end > places[place] + 1 && is_white(bytes[end - 1])) --end;
    return end;
  };
  // The inside of the text at a place; false: it is none.
  const auto is_text = [&](std::size_t place, std::size_t end) {
    const std::size_t begin = places[place];
    if (end - begin < 2 || bytes[end - 1] != '"') return false;
    return !has_escapes || has_good_escapes(text.substr(begin, end - begin));
  };
  for (std::size_t place = 0; place < count; ++place) {
    const std::uint32_t begin = places[place];
    const char c = bytes[begin];
    bool ends_value = false;
    switch (at) {
      case At::kBehindValue: {
        Node& outer = nodes[open[depth - 1]];
        const bool in_object = outer.type == Type::kObject;
        if (c == ',') {
          at = in_object ? At::kKey : At::kValue;
          continue;
        }
        if (c != (in_object ? '}' : ']')) return Found::kNothing;
        ends_value = true;
        break;
      }
      case At::kFirstKey:
        if (c == '}') {
          ends_value = true;
          break;
        }
        [[fallthrough]];
      case At::kKey: {
        const std::size_t end = end_of(place);
        if (c != '"' || !is_text(place, end)) return Found::kNothing;
        ++place;
        if (place == count || bytes[places[place]] != ':') return Found::kNothing;
        key = begin + 1;
        key_size = static_cast<std::uint32_t>(end - begin - 2);
        if (has_escapes && std::memchr(bytes + key, '\\', key_size) != nullptr) {
          keys_.push_back(json::unescaped(text.substr(key, key_size)));
          key = static_cast<std::uint32_t>(keys_.size() - 1);
          key_size = kKeyApart;
        }
        at = At::kValue;
        continue;
      }
      case At::kFirstElement:
        if (c == ']') {
          ends_value = true;
          break;
        }
        [[fallthrough]];
      case At::kValue: {
        Node& node = nodes[used];
        node = {begin, 1, key, key_size, used + 1, Type::kNull};
        key_size = 0;
        if (c == '{' || c == '[') {
          if (depth == open.size()) return Found::kNothing;
          node.type = c == '{' ? Type::kObject : Type::kArray;
          at = c == '{' ? At::kFirstKey : At::kFirstElement;
          open[depth++] = used++;
          continue;
        }
        ++used;
        const std::size_t end = end_of(place);
        node.size = static_cast<std::uint32_t>(end - begin);
        if (c == '"') {
          if (!is_text(place, end)) return Found::kNothing;
          node.type = Type::kString;
        } else {
          const Type type = type_of_word(text.substr(begin, end - begin));
          if (type == Type::kMissing) return Found::kNothing;
          node.type = type;
        }
        at = At::kBehindValue;
        break;
      }
    }
    if (ends_value) {
      Node& closed = nodes[open[--depth]];
      closed.end = used;
      closed.size = begin + 1 - closed.begin;
      at = At::kBehindValue;
    }
    if (depth > 0) continue;
    used_ = used;
    if (place + 1 < count) return bytes[places[place + 1]] == '{' ? Found::kSeveral : Found::kNothing;
    return nodes[0].type == Type::kObject ? Found::kObject : Found::kOther;
  }
  return Found::kNothing;
}

// kMissing: it is none.
JsonTree::Type JsonTree::type_of_word(std::string_view word) {
  const auto begins_with_digit = word.front() == '-' || (word.front() >= '0' && word.front() <= '9');
  if (word == "null") return Type::kNull;
  if (word == "true" || word == "false") return Type::kBoolean;
  if (begins_with_digit && is_number(word)) return Type::kNumber;
  if (word != "NaN" && word != "Infinity" && word != "-Infinity") return Type::kMissing;
  no_numbers_.emplace_back(static_cast<std::uint32_t>(word.data() - text_.data()), word.size());
  return Type::kNull;
}

JsonTree::Found JsonTree::look_at(std::string_view text) {
  if (nodes_.size() > kKeptNodes) nodes_ = {};
  for (text_ = text;;) {
    used_ = 0;
    keys_.clear();
    no_numbers_.clear();
    ThreadStructure places;
    const Found found = places.find(text_) ? walk(places.view()) : Found::kNothing;
    const bool is_sound = found == Found::kObject || found == Found::kOther;
    if (!is_sound) used_ = 0;
    if (!is_sound || no_numbers_.empty()) return found;
    std::string mended;
    std::size_t done = 0;
    for (const auto& [begin, size] : no_numbers_) {
      mended.append(text_, done, begin - done).append("null");
      done = begin + size;
    }
    mended.append(text_, done);
    text_ = mended_ = std::move(mended);
  }
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
