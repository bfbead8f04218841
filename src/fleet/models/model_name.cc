#include "fleet/models/model_name.h"

#include <algorithm>

namespace spillway::fleet {

namespace {

constexpr std::size_t kMaxPart = 128;

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool is_part(std::string_view text) {
  return !text.empty() && text.size() <= kMaxPart && is_alphanumeric(text.front()) &&
         std::ranges::all_of(text, [](char c) { return is_alphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

}  // namespace

Result<ModelName> parse_model_name(std::string_view text) {
  ModelName out;
  const std::size_t colon = text.find(':');
  out.name = text.substr(0, colon);
  if (colon != std::string_view::npos) out.tag = text.substr(colon + 1);
  if (!is_part(out.name) || !is_part(out.tag) || is_model_path(text)) {
    return Error{ErrorCode::kInvalidArgument,
                 "\"" + std::string(text.substr(0, 2 * kMaxPart)) + "\" is not a model's name",
                 "write NAME:TAG in lower-case letters, digits, '.', '_' and '-', as in smollm2:135m"};
  }
  return out;
}

bool is_model_path(std::string_view text) {
  return text.find('/') != std::string_view::npos || text.ends_with(".gguf");
}

}  // namespace spillway::fleet
