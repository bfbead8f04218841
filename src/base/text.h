// Small things about text that more than one folder needs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace spillway {

// ASCII letters compared without case; HTTP field names and the like.
bool equals_ignore_case_of_same_size(std::string_view a, std::string_view b);
inline bool equals_ignore_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && equals_ignore_case_of_same_size(a, b);
}
inline bool starts_with_ignore_case(std::string_view text, std::string_view prefix) {
  return text.size() >= prefix.size() && equals_ignore_case(text.substr(0, prefix.size()), prefix);
}
std::string to_lower(std::string_view text);

// Without spaces and tabs at both ends.
std::string_view trim(std::string_view text);

// "2026-11-24T10:00:00Z" (RFC 3339); `seconds` since 1970.
std::string rfc3339(std::int64_t seconds);

// RFC 4648, 4, with padding.
std::string base64(std::string_view bytes);

// Number of insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`
// (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b);

// The candidate nearest to `word`, when it is near enough to be what was meant.
std::optional<std::string> did_you_mean(std::string_view word, const std::vector<std::string>& candidates);

// Shell glob over the whole of `text`: `*` any run, `?` any one byte; no escapes, no classes.
bool glob_match(std::string_view pattern, std::string_view text);

}  // namespace spillway
