// JSON that others wrote, in the control plane: looked at without ever being thrown at. Only for sources: nlohmann-json
// is slow to compile. The data plane has api/json_tree.h.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace spillway::json {

using Json = nlohmann::json;

// Null where there is none.
inline const Json* value_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* at = &json;
  for (const char* key : path) {
    if (!at->is_object()) return nullptr;
    const auto found = at->find(key);
    if (found == at->end()) return nullptr;
    at = &*found;
  }
  return at;
}

inline std::string text_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* const found = value_at(json, path);
  return found != nullptr && found->is_string() ? found->get<std::string>() : std::string();
}

inline std::int64_t number_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* const found = value_at(json, path);
  return found != nullptr && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

inline bool flag_at(const Json& json, std::initializer_list<const char*> path) {
  const Json* const found = value_at(json, path);
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

inline std::vector<std::string> texts_at(const Json& json, std::initializer_list<const char*> path) {
  std::vector<std::string> out;
  const Json* const found = value_at(json, path);
  if (found == nullptr || !found->is_array()) return out;
  for (const Json& item : *found) {
    if (item.is_string()) out.push_back(item.get<std::string>());
  }
  return out;
}

}  // namespace spillway::json
