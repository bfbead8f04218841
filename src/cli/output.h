// What commands print: data on stdout, everything else on stderr.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/load.h"

namespace spillway::cli {

// To stdout, at once. False: it cannot be written (a full disk, a reader that has left).
bool print(std::string_view text);

// "error: …" and, on a second line, "  mend: …", on stderr.
void print_error(const Error& error);

// Problems, then warnings, on stderr; a last line counts the problems.
void print_problems(const config::Loaded& loaded);
// The same for mistakes of another file.
void print_problems(const std::vector<config::Problem>& problems);

// "98.4 MB": powers of 1000, as model pages tell sizes.
std::string size_text(std::uint64_t bytes);

// With spaces behind it up to `width`, and at least two: a column of a table.
std::string padded(std::string text, std::size_t width);

}  // namespace spillway::cli
