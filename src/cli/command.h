// Commands and their options, as they are declared; the only way to the library that parses them.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

// NOLINTNEXTLINE(readability-identifier-naming): the library's own name
namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace spillway::cli {

// The contract's exit codes.
inline constexpr int kFine = 0;
inline constexpr int kFailed = 1;  // the thing asked for failed, or a check did not hold
inline constexpr int kUsage = 2;   // wrong usage or config

// An option or an argument that was just declared. A handle, valid as long as its CommandLine.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}

  Option& value(const std::string& name);  // what stands for it in --help: "FILE", "DIR", or the choices "a|b|c"
  Option& required();
  Option& shows_default();                       // what its variable holds now stands in --help
  Option& separated_by(char separator);          // several values in one word
  Option& positive();                            // numbers above 0 alone
  template <typename Number>                     // int, std::int64_t, std::uint64_t or double
  Option& range(Number lowest, Number highest);  // both may be given
  Option& one_of(std::vector<std::string> words);
  // `problem` tells what is wrong with a word, or an empty text.
  Option& check(std::function<std::string(const std::string&)> problem);

 private:
  CLI::Option* option_;
};

// A command, or the program itself. A handle, valid as long as its CommandLine.
class Command {
 public:
  // Of an option that may be given, as completion wants to know it.
  struct Flag {
    std::string name;  // "--config"
    std::string about;
    std::string value;  // see Option::value; empty: it takes none
  };

  Command(CLI::App* app, int* exit_code) : app_(app), exit_code_(exit_code) {}

  Command subcommand(const std::string& name, const std::string& about);
  void needs_subcommand();

  // `name` is "--long", "-s,--long", or for an argument by its place a word without dashes. What is given is written to
  // `into`, which lives as long as the CommandLine: std::string, std::filesystem::path, a number (std::uint16_t, int,
  // std::int64_t, std::uint64_t, double), an std::optional<std::uint64_t>, or an std::vector<std::string>.
  template <typename Value>
  Option option(const std::string& name, Value& into, const std::string& about);
  // Without a value. "!--no-x" sets `into` to false.
  void flag(const std::string& name, bool& into, const std::string& about);
  void footer(std::string text);                // below the options in --help: remarks, and always examples
  void action(std::function<int()> exit_code);  // what it does where it is the one that was asked for

  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string about() const;
  [[nodiscard]] std::vector<Flag> flags() const;
  [[nodiscard]] std::vector<Command> subcommands() const;

 private:
  CLI::App* app_;
  int* exit_code_;
};

// The program's command line: declared once through program(), then run.
class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& about, const std::string& version);
  ~CommandLine();
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;

  [[nodiscard]] Command program();
  // Parses, and does what is asked for. Returns the exit code; what is wrong was told. Never throws.
  int run(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
  int exit_code_ = kFine;  // set by the command that ran
};

}  // namespace spillway::cli
