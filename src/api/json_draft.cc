#include "api/json_draft.h"

#include <algorithm>
#include <array>

#include "base/json_text.h"

namespace spillway::api {

namespace {

bool stays_as_it_came(std::string_view key) {
  constexpr std::array<std::string_view, 5> kNames{"id", "type", "role", "name", "format"};
  return std::ranges::find(kNames, key) != kNames.end();
}

// As between the quotes of a JSON string.
std::string quoted_inside(std::string_view plain) {
  std::string out;
  json::append_string(out, plain);
  return out.substr(1, out.size() - 2);
}

}  // namespace

JsonDraft::Place JsonDraft::make(Kind kind, std::string_view text) {
  nodes_.push_back({.kind = kind, .key = {}, .text = std::string(text)});
  size_ += sizeof(Node) + text.size();
  return static_cast<Place>(nodes_.size() - 1);
}

void JsonDraft::assign(Place place, Kind kind, std::string_view text) {
  Node& node = nodes_[place];
  size_ += text.size();
  size_ -= std::min(size_, node.text.size());
  node.kind = kind;
  node.text.assign(text);
  node.inside.clear();
}

void JsonDraft::unfold(Place place) {
  if (nodes_[place].kind != Kind::kFolded) return;
  const std::string folded = std::move(nodes_[place].text);
  JsonTree tree;
  tree.look_at(folded);
  const bool is_object = tree.root().is(JsonTree::Type::kObject);
  assign(place, is_object ? Kind::kObject : Kind::kArray, {});
  for (const Value one : tree.root()) {
    const Place inside = make(Kind::kScalar, "null");
    if (is_object) nodes_[inside].key = quoted_inside(one.key());
    set(inside, one);
    nodes_[place].inside.push_back(inside);
  }
}

JsonDraft::Place JsonDraft::find(Place object, std::string_view name) {
  unfold(object);
  if (nodes_[object].kind != Kind::kObject) return kNone;
  const std::string key = quoted_inside(name);
  for (const Place one : nodes_[object].inside) {
    if (nodes_[one].key == key) return one;
  }
  return kNone;
}

JsonDraft::Place JsonDraft::member(Place object, std::string_view name) {
  if (const Place found = find(object, name); found != kNone) return found;
  if (nodes_[object].kind != Kind::kObject) assign(object, Kind::kObject, {});
  const Place made = make(Kind::kScalar, "null");
  nodes_[made].key = quoted_inside(name);
  nodes_[object].inside.push_back(made);
  return made;
}

JsonDraft::Place JsonDraft::element(Place array, std::size_t index) {
  unfold(array);
  if (nodes_[array].kind != Kind::kArray || index >= nodes_[array].inside.size()) return kNone;
  return nodes_[array].inside[index];
}

JsonDraft::Place JsonDraft::insert(Place array, std::size_t index) {
  unfold(array);
  if (nodes_[array].kind != Kind::kArray) assign(array, Kind::kArray, {});
  const Place made = make(Kind::kScalar, "null");
  std::vector<Place>& inside = nodes_[array].inside;
  inside.insert(inside.begin() + static_cast<std::ptrdiff_t>(std::min(index, inside.size())), made);
  return made;
}

std::size_t JsonDraft::count(Place place) {
  unfold(place);
  return nodes_[place].inside.size();
}

void JsonDraft::set(Place place, Value value) {
  switch (value.type()) {
    case JsonTree::Type::kString: return assign(place, Kind::kText, value.escaped());
    case JsonTree::Type::kObject:
    case JsonTree::Type::kArray: return assign(place, Kind::kFolded, value.raw());
    case JsonTree::Type::kMissing: return assign(place, Kind::kScalar, "null");
    default: return assign(place, Kind::kScalar, value.raw());
  }
}

void JsonDraft::set_json(Place place, std::string_view json) {
  const bool holds = json.starts_with('{') || json.starts_with('[');
  if (json.starts_with('"')) return assign(place, Kind::kText, json.substr(1, json.size() - 2));
  assign(place, holds ? Kind::kFolded : Kind::kScalar, json);
}

void JsonDraft::add_text(Place place, std::string_view escaped) {
  if (nodes_[place].kind != Kind::kText) assign(place, Kind::kText, {});
  nodes_[place].text += escaped;
  size_ += escaped.size();
}

void JsonDraft::erase(Place object, std::string_view name) {
  const Place found = find(object, name);
  if (found != kNone) std::erase(nodes_[object].inside, found);
}

void JsonDraft::merge(Place place, Value value) {
  std::vector<Pair> to_merge{{place, value}};
  for (std::size_t next = 0; next < to_merge.size(); ++next) {
    const auto [into, from] = to_merge[next];
    if (!from) continue;  // null
    const Kind kind = nodes_[into].kind;
    const bool holds = kind == Kind::kFolded || kind == Kind::kObject || kind == Kind::kArray;
    if (holds) unfold(into);
    if (from.is(JsonTree::Type::kObject) && nodes_[into].kind == Kind::kObject) {
      for (const Value one : from) {
        const Place found = find(into, one.key());
        if (found != kNone) {
          to_merge.push_back({found, one});
        } else {
          set(member(into, one.key()), one);
        }
      }
    } else if (from.is(JsonTree::Type::kArray) && nodes_[into].kind == Kind::kArray) {
      for (const Value one : from) merge_element(into, one, to_merge);
    } else if (kind == Kind::kText && stays_as_it_came(nodes_[into].key) && !nodes_[into].text.empty()) {
      continue;
    } else if (from.is(JsonTree::Type::kString) && kind == Kind::kText && !stays_as_it_came(nodes_[into].key)) {
      add_text(into, from.escaped());
    } else {
      set(into, from);
    }
  }
}

// Into the element of the same index; without one it is told by its id.
void JsonDraft::merge_element(Place array, Value element, std::vector<Pair>& to_merge) {
  for (const std::string_view name : {std::string_view("index"), std::string_view("id")}) {
    const Value wanted = element[name];
    if (!wanted) continue;
    // Nearly always the last: it is the one that grows.
    const std::vector<Place>& inside = nodes_[array].inside;
    for (std::size_t i = inside.size(); i-- > 0;) {
      const Place one = nodes_[array].inside[i];
      const Place found = find(one, name);
      if (found == kNone) continue;
      const bool same =
          wanted.is(JsonTree::Type::kString) ? escaped(found) == wanted.escaped() : text(found) == wanted.raw();
      if (same) return to_merge.push_back({one, element});
    }
    break;
  }
  set(insert(array, count(array)), element);
}

std::string JsonDraft::to_json() const {
  struct Open {
    Place place;
    std::size_t next = 0;
  };
  std::string out;
  std::vector<Open> open;
  const auto write = [&](Place place) {
    const Node& node = nodes_[place];
    switch (node.kind) {
      case Kind::kText: out.append("\"").append(node.text).append("\""); return;
      case Kind::kObject:
      case Kind::kArray:
        out += node.kind == Kind::kObject ? '{' : '[';
        open.push_back({place});
        return;
      default: out += node.text; return;
    }
  };
  out.reserve(size_);
  write(kRoot);
  while (!open.empty()) {
    Open& last = open.back();
    const Node& node = nodes_[last.place];
    if (last.next == node.inside.size()) {
      out += node.kind == Kind::kObject ? '}' : ']';
      open.pop_back();
      continue;
    }
    const Place inside = node.inside[last.next++];
    if (last.next > 1) out += ',';
    if (node.kind == Kind::kObject) out.append("\"").append(nodes_[inside].key).append("\":");
    write(inside);
  }
  return out;
}

}  // namespace spillway::api
