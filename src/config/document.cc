#include "config/document.h"

#include <algorithm>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>

namespace spillway::config {

namespace {

Place place_of(const toml::source_region& source) { return {source.begin.line, source.begin.column}; }

Value convert(const toml::node& node) {
  Value out;
  out.place = place_of(node.source());
  if (const auto* text = node.as_string()) {
    out.kind = Value::Kind::kString;
    out.text = text->get();
  } else if (const auto* integer = node.as_integer()) {
    out.kind = Value::Kind::kInteger;
    out.integer = integer->get();
    out.number = static_cast<double>(out.integer);
  } else if (const auto* number = node.as_floating_point()) {
    out.kind = Value::Kind::kFloat;
    out.number = number->get();
  } else if (const auto* boolean = node.as_boolean()) {
    out.kind = Value::Kind::kBoolean;
    out.boolean = boolean->get();
  } else if (const auto* array = node.as_array()) {
    out.kind = Value::Kind::kArray;
    for (const toml::node& item : *array) out.items.push_back(convert(item));
  } else if (const auto* table = node.as_table()) {
    out.kind = Value::Kind::kTable;
    for (const auto& [key, value] : *table)
      out.entries.push_back({std::string(key.str()), place_of(key.source()), convert(value)});
    // toml++ sorts keys by name; mistakes are told in the order of the file.
    std::sort(out.entries.begin(), out.entries.end(), [](const Entry& a, const Entry& b) { return a.place < b.place; });
  } else {
    out.kind = Value::Kind::kTime;
  }
  return out;
}

}  // namespace

const Value* Value::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

std::string_view describe(const Value& value) {
  switch (value.kind) {
    case Value::Kind::kString: return "a string";
    case Value::Kind::kInteger: return "a whole number";
    case Value::Kind::kFloat: return "a number";
    case Value::Kind::kBoolean: return "true or false";
    case Value::Kind::kArray: return "a list";
    case Value::Kind::kTable: return "a table";
    case Value::Kind::kTime: return "a date or time";
  }
  return "?";
}

Document parse_document(std::string_view toml) {
  Document document;
  const toml::parse_result parsed = toml::parse(toml);
  if (parsed) {
    document.root = convert(parsed.table());
  } else {
    document.error = std::string(parsed.error().description());
    document.error_place = place_of(parsed.error().source());
  }
  return document;
}

}  // namespace spillway::config
