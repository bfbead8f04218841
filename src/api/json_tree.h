// JSON text as a tree of places: what stands where, so that it can be spliced into another text.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::api {

// Nothing is copied: the text has to outlive the tree. Parsed by simdjson; can be used again, and keeps its room.
class JsonTree {
 public:
  enum class Type : std::uint8_t { kMissing, kNull, kBoolean, kNumber, kString, kArray, kObject };

 private:
  struct Node {
    std::string_view raw;
    std::string_view key;
    std::uint32_t end = 0;  // the node behind it and all that it holds
    Type type = Type::kNull;
  };

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
    [[nodiscard]] bool is_true() const { return type() == Type::kBoolean && node().raw == "true"; }

    // Its JSON text; empty where it is missing.
    [[nodiscard]] std::string_view raw() const { return tree_ == nullptr ? std::string_view() : node().raw; }
    // Of a string: what stands between its quotes, with its escapes. Empty for anything else.
    [[nodiscard]] std::string_view escaped() const {
      return type() == Type::kString ? node().raw.substr(1, node().raw.size() - 2) : std::string_view();
    }
    // Of a string: decoded. Empty for anything else.
    [[nodiscard]] std::string text() const;
    // A whole number that fits; nothing for anything else.
    [[nodiscard]] std::optional<std::int64_t> integer() const;
    // Its name, where it is a member of an object.
    [[nodiscard]] std::string_view key() const { return tree_ == nullptr ? std::string_view() : node().key; }

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

  // `text` needs ByteBuffer::kPadding readable bytes behind it. False: it is not one JSON text.
  bool parse(std::string_view text);
  [[nodiscard]] Value root() const { return nodes_.empty() ? Value() : Value(*this, 0); }

 private:
  friend class JsonTreeBuilder;

  std::vector<Node> nodes_;
  std::deque<std::string> keys_;  // that have escapes in the text
};

}  // namespace spillway::api
