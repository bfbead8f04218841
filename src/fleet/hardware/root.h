// The files in which a system tells of itself, below one folder: "/", or a recorded tree of another machine.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace spillway::fleet {

class Root {
 public:
  explicit Root(std::filesystem::path folder = "/") : folder_(std::move(folder)) {}

  // Is it this machine, whose programs may be asked too?
  [[nodiscard]] bool live() const { return folder_ == "/"; }

  // "/proc/mdstat" below the folder.
  [[nodiscard]] std::filesystem::path at(std::string_view path) const;
  // At most 4 MiB of it.
  [[nodiscard]] Result<std::string> text(std::string_view path) const;
  // Its first line, trimmed; empty where it cannot be read.
  [[nodiscard]] std::string line(std::string_view path) const;
  [[nodiscard]] std::optional<std::uint64_t> number(std::string_view path) const;
  // Names in a folder, sorted; none where it is not there.
  [[nodiscard]] std::vector<std::string> names(std::string_view path) const;

 private:
  std::filesystem::path folder_;
};

// Non-empty lines, trimmed.
std::vector<std::string_view> lines_of(std::string_view text);
// The words of a line.
std::vector<std::string_view> words_of(std::string_view line);
// Leading digits; nothing where there are none, or too many.
std::optional<std::uint64_t> leading_number(std::string_view text);

}  // namespace spillway::fleet
