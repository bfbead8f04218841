// A JSON text that grows: an answer that is put together from the events of a stream.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "api/json_tree.h"

namespace spillway::api {

// Begins as an empty object. What it holds was read by JsonTree, so it is sound and of limited depth; numbers and texts
// stay as they were written. What nothing is added to stays folded, as text.
class JsonDraft {
 public:
  using Place = std::uint32_t;
  using Value = JsonTree::Value;
  static constexpr Place kNone = ~Place{0};
  static constexpr Place kRoot = 0;

  JsonDraft() { make(Kind::kObject, {}); }

  // The member of an object; kNone: it has none of that name, or is no object.
  Place find(Place object, std::string_view name);
  // Likewise, made (null) where it is missing. Something that is no object becomes one.
  Place member(Place object, std::string_view name);
  // The element of a list; kNone: it has fewer, or is no list.
  Place element(Place array, std::size_t index);
  // A new element (null) before the one at `index`; behind all where there are not so many.
  Place insert(Place array, std::size_t index);
  // How many members or elements it has.
  std::size_t count(Place place);

  [[nodiscard]] bool is_null(Place place) const { return nodes_[place].kind == Kind::kScalar && text(place) == "null"; }
  [[nodiscard]] bool is_empty_text(Place place) const {
    return nodes_[place].kind == Kind::kText && text(place).empty();
  }
  // Of a text: as it stands between the quotes. Empty for anything else.
  [[nodiscard]] std::string_view escaped(Place place) const {
    return nodes_[place].kind == Kind::kText ? text(place) : std::string_view();
  }

  void set(Place place, Value value);
  void set_json(Place place, std::string_view json);
  // Adds to a text; what is none becomes one. `escaped`: as between the quotes of a JSON string.
  void add_text(Place place, std::string_view escaped);
  void erase(Place object, std::string_view name);

  // Adds one value to another, as the SDKs do with deltas (openai-python, lib/streaming/_deltas.py): texts are joined,
  // objects merged, the elements of lists merged by their `index`. But what names something (`id`, `type`, `role`,
  // `name`, `format`) stays as it came first, since some servers repeat it; and null changes nothing.
  void merge(Place place, Value value);

  // As JSON text.
  [[nodiscard]] std::string to_json() const;
  // About so many bytes are held.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  enum class Kind : std::uint8_t { kScalar, kText, kObject, kArray, kFolded };
  struct Node {
    Kind kind = Kind::kScalar;
    std::string key;   // escaped
    std::string text;  // the JSON text of a scalar or of what is folded, the inside of a text
    std::vector<Place> inside = {};
  };
  struct Pair {
    Place place;
    Value value;
  };

  Place make(Kind kind, std::string_view text);
  [[nodiscard]] std::string_view text(Place place) const { return nodes_[place].text; }
  void assign(Place place, Kind kind, std::string_view text);
  void unfold(Place place);
  void merge_element(Place array, Value element, std::vector<Pair>& to_merge);

  std::vector<Node> nodes_;
  std::size_t size_ = 0;
};

}  // namespace spillway::api
