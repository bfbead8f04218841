// A TOML text as a tree with places; what is behind it (toml++) stays in document.cc.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::config {

// Where something stands, from 1; line 0: nowhere in the file.
struct Place {
  std::uint32_t line = 0;
  std::uint32_t column = 0;
  auto operator<=>(const Place&) const = default;
};

struct Entry;

struct Value {
  enum class Kind { kString, kInteger, kFloat, kBoolean, kArray, kTable, kTime };
  Kind kind = Kind::kTable;
  Place place;
  std::string text;            // kString
  std::int64_t integer = 0;    // kInteger
  double number = 0;           // kInteger, kFloat
  bool boolean = false;        // kBoolean
  std::vector<Value> items;    // kArray
  std::vector<Entry> entries;  // kTable, in the order of the file

  // Of a table; null: it has no such key.
  [[nodiscard]] const Value* find(std::string_view key) const;
};

struct Entry {
  std::string key;
  Place place;
  Value value;
};

// "a string", "a number" …: what a Value is, for messages.
std::string_view describe(const Value& value);

struct Document {
  Value root;
  std::string error;  // what is wrong with the syntax; empty: nothing
  Place error_place;
};

// Keys have at most kMaxKeyParts parts ("a.b.c": 3), values nest at most kMaxNesting deep. Ours need three;
// both the parser and what walks the tree are recursive.
inline constexpr int kMaxKeyParts = 32;
inline constexpr int kMaxNesting = 32;

// Never throws, for any bytes.
Document parse_document(std::string_view toml);

}  // namespace spillway::config
