#include "config/reader.h"

#include <algorithm>

#include "config/values.h"

namespace spillway::config {

namespace {

constexpr std::size_t kLongKey = 64;  // bytes; longer than any key of ours

// Behind those of the same place.
void insert_in_order(std::vector<Problem>& problems, Problem problem) {
  const auto place = std::upper_bound(
      problems.begin(), problems.end(), problem,
      [](const Problem& a, const Problem& b) { return std::pair(a.line, a.column) < std::pair(b.line, b.column); });
  problems.insert(place, std::move(problem));
}

// As it would be written in the file.
std::string shown(const std::string& key) {
  const bool bare = std::all_of(key.begin(), key.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  return bare && !key.empty() && key.size() <= kLongKey ? key : excerpt(key);
}

}  // namespace

void Problems::add(Place place, std::string message, std::string hint) {
  insert_in_order(errors_, {file_, place.line, place.column, std::move(message), std::move(hint), false});
}

void Problems::warn(Place place, std::string message, std::string hint) {
  insert_in_order(warnings_, {file_, place.line, place.column, std::move(message), std::move(hint), true});
}

void add_unknown(Problems& problems, const Entry& entry, const std::string& section,
                 const std::vector<std::string>& known) {
  std::string hint;
  const auto meant = entry.key.size() <= kLongKey ? did_you_mean(entry.key, known) : std::nullopt;
  if (meant) {
    hint = "did you mean `" + *meant + "`?";
  } else {
    for (const std::string& key : known) hint += (hint.empty() ? "known are: " : ", ") + key;
  }
  problems.add(entry.place, "`" + shown(entry.key) + "` is not a key of " + section, std::move(hint));
}

void add_wrong_kind(Problems& problems, const Value& value, std::string_view wanted, std::string_view example) {
  problems.add(value.place, "this has to be " + std::string(wanted) + ", and is " + std::string(describe(value)),
               "as in: " + std::string(example));
}

std::string Problem::to_string() const {
  std::string out = file;
  if (line > 0) out += ":" + std::to_string(line) + ":" + std::to_string(column);
  out += (out.empty() ? "" : ": ") + std::string(warning ? "warning: " : "error: ") + message;
  if (!hint.empty()) out += "\n  mend: " + hint;
  return out;
}

}  // namespace spillway::config
