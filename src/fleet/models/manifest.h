// A Model and the JSON file that describes it, manifests/NAME/TAG.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"
#include "fleet/models/gguf.h"
#include "fleet/models/model_name.h"

namespace spillway::fleet {

// What a Model was when it was pulled, so that a later look at its source tells whether there is a newer one. `from` is
// empty for a Model that was imported.
struct Pulled {
  std::string from;       // as parse_source() reads it
  std::string revision;   // the source's own name of this version: a commit, a version; may be empty
  std::string digest;     // SHA-256 of what was fetched, where the source tells it: of the weights, or of their archive
  std::string validator;  // where it does not: ETag, Last-Modified, or a file's size and time

  bool operator==(const Pulled&) const = default;
};

// Weights on disk. One that was named by its path has `path`, `size` and `gguf` only.
struct Model {
  ModelName name;      // name.name is empty for a file outside the store
  std::string digest;  // 64 hexadecimal digits of SHA-256
  std::filesystem::path path;
  std::uint64_t size = 0;   // bytes
  std::string license;      // SPDX id, as the importer said; may be empty
  std::string source;       // where it came from, as the importer said; may be empty
  std::string imported_at;  // "2026-11-23T21:25:00Z"
  Pulled pulled;
  GgufInfo gguf;

  // What to call it: "smollm2:135m", or the file's name without ".gguf".
  [[nodiscard]] std::string display_name() const;
};

// The manifest's text; `path` is not part of it.
std::string manifest_to_json(const Model& model);

// The reverse; kCorrupt where something is missing, of the wrong type, or not the manifest of `name`.
// `path` is left empty.
Result<Model> manifest_from_json(std::string_view text, const ModelName& name);

}  // namespace spillway::fleet
