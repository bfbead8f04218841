// Reading tables into structs by a list of options, collecting every mistake.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"
#include "config/document.h"
#include "config/load.h"

namespace spillway::config {

// The mistakes of one file.
class Problems {
 public:
  explicit Problems(std::string file) : file_(std::move(file)) {}
  void add(Place place, std::string message, std::string hint = {});
  void warn(Place place, std::string message, std::string hint = {});

  // In the order of the file.
  [[nodiscard]] const std::vector<Problem>& errors() const { return errors_; }
  [[nodiscard]] const std::vector<Problem>& warnings() const { return warnings_; }
  [[nodiscard]] bool none() const { return errors_.empty(); }

 private:
  std::string file_;
  std::vector<Problem> errors_;
  std::vector<Problem> warnings_;
};

// One key of a section: how it is read, printed and documented.
template <class T>
struct Option {
  std::string key;
  std::string type;   // for people: "duration", "size", "ordered | latency"
  std::string about;  // one line
  std::function<void(const Value&, T&, Problems&)> read;
  // As TOML; empty: it is not set, and left out.
  std::function<std::string(const T&)> print;
};

template <class T>
using Options = std::vector<Option<T>>;

// A struct with the table that it was read from.
template <class T>
struct Placed {
  T value;
  const Value* table = nullptr;  // null: the file does not have it

  [[nodiscard]] bool has(std::string_view key) const { return table != nullptr && table->find(key) != nullptr; }
  // Of the key's value, else of the table.
  [[nodiscard]] Place of(std::string_view key) const {
    if (table == nullptr) return {};
    const Value* const found = table->find(key);
    return found != nullptr ? found->place : table->place;
  }
};

// "unknown key", with the nearest of `known` as a suggestion.
void add_unknown(Problems& problems, const Entry& entry, const std::string& section,
                 const std::vector<std::string>& known);
// `value` is of the wrong kind: says what is wanted, and an example.
void add_wrong_kind(Problems& problems, const Value& value, std::string_view wanted, std::string_view example);

// Fills a T from `table`, the section named `section` ("[server]").
template <class T>
Placed<T> read_table(const Value& table, const std::string& section, const Options<T>& options, Problems& problems) {
  Placed<T> out;
  out.table = &table;
  if (table.kind != Value::Kind::kTable) {
    add_wrong_kind(problems, table, "a table", section);
    return out;
  }
  for (const Entry& entry : table.entries) {
    const Option<T>* found = nullptr;
    for (const Option<T>& option : options) {
      if (option.key == entry.key) found = &option;
    }
    if (found != nullptr) {
      found->read(entry.value, out.value, problems);
      continue;
    }
    std::vector<std::string> known;
    for (const Option<T>& option : options) known.push_back(option.key);
    add_unknown(problems, entry, section, known);
  }
  return out;
}

}  // namespace spillway::config
