// What engines said that models took, kept: the next estimate goes by it.
//
//   DATA/memory.json   {"HEX of the weights": {"4096x2x512x1x1": {"weights": …, "cache": …, "compute": …}}}
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "base/mutex.h"
#include "base/result.h"
#include "fleet/models/gguf.h"
#include "fleet/models/memory.h"

namespace spillway::fleet {

// From any thread; several processes may have one of the same file, the last to write wins.
class MemoryBook {
 public:
  explicit MemoryBook(std::filesystem::path file) : file_(std::move(file)) {}

  // What running it took when it was run so; else the estimate, corrected by what it was wrong by when these weights
  // were run otherwise. `digest` empty: a file outside the store, of which nothing is kept.
  struct Expected {
    MemoryUse memory;
    bool measured = false;  // so it was; or: so it is estimated
  };
  [[nodiscard]] Expected expect(const std::string& digest, const GgufDetails& model, const RunShape& shape) const;

  // Writes it down, where it is news.
  Status note(const std::string& digest, const RunShape& shape, const MemoryUse& memory);

 private:
  using Runs = std::map<std::string, MemoryUse>;  // by shape
  [[nodiscard]] std::map<std::string, Runs> read() const;

  std::filesystem::path file_;
  mutable Mutex mutex_;
};

}  // namespace spillway::fleet
