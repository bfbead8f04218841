// The name of a Model, `name:tag`.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace spillway::fleet {

// Both parts begin with a lower-case letter or a digit, go on with those and `.` `_` `-`, and have
// at most 128 bytes, so that they may stand in a path.
struct ModelName {
  std::string name;
  std::string tag = "latest";

  [[nodiscard]] std::string to_string() const { return name + ":" + tag; }
  auto operator<=>(const ModelName&) const = default;
};

// "smollm2:135m", or without a tag, which means "latest".
Result<ModelName> parse_model_name(std::string_view text);

// Is this the path of a file rather than a name? So when it has a '/' or ends in ".gguf".
bool is_model_path(std::string_view text);

}  // namespace spillway::fleet
