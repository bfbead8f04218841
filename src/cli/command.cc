#include "cli/command.h"

#include <CLI/CLI.hpp>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "cli/output.h"

namespace spillway::cli {

Option& Option::value(const std::string& name) {
  option_->type_name(name);
  return *this;
}

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::shows_default() {
  option_->capture_default_str();
  return *this;
}

Option& Option::separated_by(char separator) {
  option_->delimiter(separator);
  return *this;
}

Option& Option::positive() {
  option_->check(CLI::PositiveNumber);
  return *this;
}

template <typename Number>
Option& Option::range(Number lowest, Number highest) {
  option_->check(CLI::Range(lowest, highest));
  return *this;
}

template Option& Option::range(int, int);
template Option& Option::range(std::int64_t, std::int64_t);
template Option& Option::range(std::uint64_t, std::uint64_t);
template Option& Option::range(double, double);

Option& Option::one_of(std::vector<std::string> words) {
  option_->check(CLI::IsMember(std::move(words)));
  return *this;
}

Option& Option::check(std::function<std::string(const std::string&)> problem) {
  option_->check(std::move(problem));
  return *this;
}

Command Command::subcommand(const std::string& name, const std::string& about) {
  return {app_->add_subcommand(name, about), exit_code_};
}

void Command::needs_subcommand() { app_->require_subcommand(1); }

template <typename Value>
Option Command::option(const std::string& name, Value& into, const std::string& about) {
  return Option(app_->add_option(name, into, about));
}

template Option Command::option(const std::string&, std::string&, const std::string&);
template Option Command::option(const std::string&, std::filesystem::path&, const std::string&);
template Option Command::option(const std::string&, std::uint16_t&, const std::string&);
template Option Command::option(const std::string&, int&, const std::string&);
template Option Command::option(const std::string&, std::int64_t&, const std::string&);
template Option Command::option(const std::string&, std::uint64_t&, const std::string&);
template Option Command::option(const std::string&, double&, const std::string&);
template Option Command::option(const std::string&, std::optional<std::uint64_t>&, const std::string&);
template Option Command::option(const std::string&, std::vector<std::string>&, const std::string&);

void Command::flag(const std::string& name, bool& into, const std::string& about) { app_->add_flag(name, into, about); }

void Command::footer(std::string text) { app_->footer(std::move(text)); }

void Command::action(std::function<int()> exit_code) {
  app_->callback([into = exit_code_, run = std::move(exit_code)] { *into = run(); });
}

std::string Command::name() const { return app_->get_name(); }

std::string Command::about() const { return app_->get_description(); }

std::vector<Command::Flag> Command::flags() const {
  std::vector<Flag> flags;
  const CLI::App& app = *app_;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      flags.push_back(
          {"--" + name, option->get_description(), option->get_expected_max() == 0 ? "" : option->get_type_name()});
    }
  }
  return flags;
}

std::vector<Command> Command::subcommands() const {
  std::vector<Command> commands;
  for (CLI::App* command : app_->get_subcommands([](const CLI::App*) { return true; }))
    commands.emplace_back(command, exit_code_);
  return commands;
}

CommandLine::CommandLine(const std::string& name, const std::string& about, const std::string& version)
    : app_(std::make_unique<CLI::App>(about, name)) {
  app_->require_subcommand(1);
  app_->set_version_flag("--version", version);
  app_->set_help_flag("-h,--help", "Print this help and exit");
  // Global options may also stand behind the command.
  app_->fallthrough();
}

CommandLine::~CommandLine() = default;

Command CommandLine::program() { return {app_.get(), &exit_code_}; }

int CommandLine::run(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::Success& success) {  // help and version
    return app_->exit(success);
  } catch (const CLI::ParseError& error) {
    print_error({ErrorCode::kInvalidArgument, error.what(), "spillway --help, or spillway COMMAND --help"});
    return kUsage;
  } catch (const std::exception& exception) {
    print_error({ErrorCode::kInternal, exception.what(), {}});
    return kFailed;
  }
  return exit_code_;
}

}  // namespace spillway::cli
