// The command line of the benchmark's programs: `--name value` pairs and `--flag` words.
#pragma once

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace spillway::bench {

// Takes the arguments one by one; whatever is not known or not a number ends the program with 2.
class Options {
 public:
  Options(int argc, char** argv, const char* usage) : left_(argv + 1), end_(argv + argc), usage_(usage) {}

  // The next option's name; empty at the end.
  std::string_view next() { return left_ == end_ ? std::string_view{} : std::string_view(*left_++); }

  std::string_view text() {
    if (left_ == end_) refuse();
    return *left_++;
  }

  long number() {
    const std::string_view word = text();
    long value = 0;
    const auto [at, error] = std::from_chars(word.data(), word.data() + word.size(), value);
    if (error != std::errc{} || at != word.data() + word.size() || value < 0) refuse();
    return value;
  }

  [[noreturn]] void refuse() const {
    std::fprintf(stderr, "usage: %s\n", usage_);
    std::exit(2);
  }

 private:
  char** left_;
  char** end_;
  const char* usage_;
};

}  // namespace spillway::bench
