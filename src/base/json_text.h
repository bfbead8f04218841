// Writing JSON by appending: for what the hot path emits. The control plane uses nlohmann-json.
#pragma once

#include <string>
#include <string_view>

namespace spillway::json {

// Appends `text` as a JSON string, quotes included. `text` should be UTF-8; bytes that are not
// become U+FFFD, so that what is written is always valid JSON.
void append_string(std::string& out, std::string_view text);

// What the inside of a JSON string says, its escapes decoded. Half of a surrogate pair, and an escape that is none,
// become U+FFFD.
std::string unescaped(std::string_view inside);

// Appends `"name":` with a comma before it unless it is the first in its object.
void append_key(std::string& out, std::string_view name);

// Shortest decimal form that reads back alike; at most `decimals` digits after the point.
void append_number(std::string& out, double value, int decimals);

}  // namespace spillway::json
