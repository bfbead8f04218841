// JSON text as a tree of places: what stands where, so that it can be spliced into another text.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace spillway::api {

// JSON nested deeper than this is refused, wherever it comes from.
inline constexpr int kMaxDepth = 128;

// The one reader of JSON that others wrote. simdjson finds where things stand (and that it is UTF-8, and each text is
// closed); here they are walked, without recursion. Nothing is copied: the text has to outlive the tree. Numbers and
// texts are not interpreted before somebody asks. NaN, Infinity and -Infinity, which Python's json writes, are null.
// Can be used again, and keeps its room.
class JsonTree {
 public:
  enum class Type : std::uint8_t { kMissing, kNull, kBoolean, kNumber, kString, kArray, kObject };

 private:
  struct Node {
    std::uint32_t begin = 0;  // of its JSON text
    std::uint32_t size = 0;
    std::uint32_t key = 0;  // where its name begins; with kKeyApart in `key_size` it is one of keys_
    std::uint32_t key_size = 0;
    std::uint32_t end = 0;  // the node behind it and all that it holds
    Type type = Type::kNull;
  };
  static constexpr std::uint32_t kKeyApart = 1u << 31;

 public:
  // A place in the tree, or kMissing; as cheap as a pointer. Valid until the next parse().
  class Value {
   public:
    Value() = default;
    Value(const JsonTree& tree, std::uint32_t index) : tree_(&tree), index_(index) {}

    [[nodiscard]] Type type() const { return tree_ == nullptr ? Type::kMissing : node().type; }
    // There is something other than null.
    explicit operator bool() const { return type() > Type::kNull; }
    [[nodiscard]] bool is(Type type) const { return this->type() == type; }
    [[nodiscard]] bool is_true() const { return type() == Type::kBoolean && node().size == 4; }

    // Its JSON text; empty where it is missing.
    [[nodiscard]] std::string_view raw() const {
      return tree_ == nullptr ? std::string_view() : tree_->text_.substr(node().begin, node().size);
    }
    // Of a string: what stands between its quotes, with its escapes. Empty for anything else.
    [[nodiscard]] std::string_view escaped() const {
      return type() == Type::kString ? tree_->text_.substr(node().begin + 1, node().size - 2) : std::string_view();
    }
    // Of a string: decoded. Empty for anything else.
    [[nodiscard]] std::string text() const;
    // A whole number that fits; nothing for anything else.
    [[nodiscard]] std::optional<std::int64_t> integer() const;
    // Its name, where it is a member of an object.
    [[nodiscard]] std::string_view key() const { return tree_ == nullptr ? std::string_view() : tree_->key_of(node()); }

    // Of an object: the member of that name. Missing for anything else.
    Value operator[](std::string_view name) const;
    // Of an array or object.
    [[nodiscard]] bool empty() const { return tree_ == nullptr || index_ + 1 >= node().end; }

    class Iterator {
     public:
      Iterator(const JsonTree* tree, std::uint32_t index) : tree_(tree), index_(index) {}
      Value operator*() const { return {*tree_, index_}; }
      Iterator& operator++() {
        index_ = tree_->nodes_[index_].end;
        return *this;
      }
      bool operator==(const Iterator& other) const { return index_ == other.index_; }

     private:
      const JsonTree* tree_;
      std::uint32_t index_;
    };
    // Elements or members; of anything else none.
    [[nodiscard]] Iterator begin() const;
    [[nodiscard]] Iterator end() const;

   private:
    [[nodiscard]] const Node& node() const { return tree_->nodes_[index_]; }

    const JsonTree* tree_ = nullptr;
    std::uint32_t index_ = 0;
  };

  // What a text is.
  enum class Found : std::uint8_t {
    kNothing,  // not JSON, or too deep
    kObject,
    kOther,    // JSON of another kind
    kSeveral,  // an object, and more behind it that begins another one
  };
  Found look_at(std::string_view text);
  // False: it is not one JSON object.
  bool parse(std::string_view text) {
    const bool is_object = look_at(text) == Found::kObject;
    if (!is_object) used_ = 0;
    return is_object;
  }
  // After kObject and kOther.
  [[nodiscard]] Value root() const { return used_ == 0 ? Value() : Value(*this, 0); }

 private:
  Found walk(std::span<const std::uint32_t> places);
  Type type_of_word(std::string_view word);

  [[nodiscard]] std::string_view key_of(const Node& node) const {
    if ((node.key_size & kKeyApart) != 0) return keys_[node.key];
    return text_.substr(node.key, node.key_size);
  }

  std::string_view text_;
  std::vector<Node> nodes_;                                          // room for as many as there were at most
  std::uint32_t used_ = 0;                                           // of them
  std::vector<std::string> keys_;                                    // that have escapes in the text
  std::vector<std::pair<std::uint32_t, std::uint32_t>> no_numbers_;  // places of NaN and the like
  std::string mended_;                                               // the text without them
};

}  // namespace spillway::api
