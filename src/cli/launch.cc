#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "cli/app.h"
#include "cli/chat_client.h"
#include "cli/gateway_at.h"
#include "cli/output.h"
#include "cli/tools.h"

namespace spillway::cli {

namespace {

struct LaunchOptions {
  std::string tool;
  std::string model;
  std::string url;
  std::vector<std::string> arguments;
  bool json = false;
};

std::string tool_list() {
  std::string out;
  for (const ToolEntry& tool : tools()) {
    out += "\n  " + std::string(tool.name) + std::string(tool.name.size() < 10 ? 10 - tool.name.size() : 1, ' ') +
           std::string(tool.what);
  }
  return out;
}

// Nothing: what is wrong was told, and `exit_code` says how wrong.
std::optional<ToolStart> prepare(const LaunchOptions& options, const Context& context, http::Url& gateway,
                                 int& exit_code) {
  exit_code = kUsage;
  Result<http::Url> url = gateway_url(context, options.url);
  if (!url) {
    print_error(url.error());
    return std::nullopt;
  }
  if (url->port == 0) {
    print_error({ErrorCode::kInvalidArgument, "server.listen has port 0, so only `serve` knows the port it took",
                 "--url http://HOST:PORT, with the address that `spillway serve` printed"});
    return std::nullopt;
  }
  gateway = *url;
  auto start = start_of(options.tool, "http://" + url->authority(), options.model);
  if (start) return start;
  std::vector<std::string> names;
  for (const ToolEntry& tool : tools()) names.emplace_back(tool.name);
  const auto meant = did_you_mean(options.tool, names);
  print_error({ErrorCode::kInvalidArgument, "how " + options.tool + " is pointed at a gateway is not known here",
               meant ? "did you mean " + *meant + "?" : "one of:" + tool_list()});
  return std::nullopt;
}

// For a POSIX shell.
std::string quoted_for_shell(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

int print_environment(const LaunchOptions& options, const Context& context) {
  int exit_code = kFine;
  http::Url gateway;
  const auto start = prepare(options, context, gateway, exit_code);
  if (!start) return exit_code;
  std::string out;
  if (options.json) {
    nlohmann::ordered_json told;
    told["environment"] = nlohmann::ordered_json::object();
    for (const ToolSetting& setting : start->environment) told["environment"][setting.name] = setting.value;
    told["arguments"] = start->arguments;
    out = told.dump(2) + "\n";
  } else {
    for (const ToolSetting& setting : start->environment)
      out += "export " + setting.name + "=" + quoted_for_shell(setting.value) + "\n";
    if (!start->arguments.empty()) {
      out += "# and start it as: " + start->program;
      for (const std::string& argument : start->arguments) out += " " + quoted_for_shell(argument);
      out += "\n";
    }
  }
  return print(out) ? kFine : kFailed;
}

int launch(const LaunchOptions& options, const Context& context) {
  int exit_code = kFine;
  http::Url gateway;
  const auto start = prepare(options, context, gateway, exit_code);
  if (!start) return exit_code;
  if (!is_alive(gateway)) {
    print_error({ErrorCode::kUnavailable, "no gateway answers at http://" + gateway.authority(),
                 "start one in another terminal: spillway serve"});
    return kFailed;
  }
  for (const ToolSetting& setting : start->environment)
    ::setenv(setting.name.c_str(), setting.value.c_str(), 1);  // NOLINT(concurrency-mt-unsafe): there is one thread
  std::vector<std::string> words{start->program};
  words.insert(words.end(), start->arguments.begin(), start->arguments.end());
  words.insert(words.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execvp(argv.front(), argv.data());
  const int why = errno;
  print_error({ErrorCode::kNotFound, start->program + " cannot be started: " + std::strerror(why),
               why == ENOENT ? "is it installed, and on PATH?" : std::string()});
  return kFailed;
}

void add_common(Command command, LaunchOptions& options) {
  command.option("TOOL", options.tool, "Which tool").required();
  command.option("--model", options.model, "The model to ask for [the tool's own choice]").value("NAME");
  command.option("--url", options.url, "The gateway [server.listen of the config]").value("http://HOST:PORT");
}

}  // namespace

void add_launch(Command app, Context& context) {
  auto options = std::make_shared<LaunchOptions>();
  Command command = app.subcommand("launch", "Start a coding tool with its variables pointed at the gateway");
  add_common(command, *options);
  command.option("ARGUMENTS", options->arguments, "Handed to the tool; behind -- where they begin with a dash");
  command.footer("\nNo file of yours is changed: only what the tool is started with. Tools:" + tool_list() + R"(

Examples:
  spillway launch claude --model deepseek-flash
  spillway launch codex -- --full-auto)");
  command.action([&context, options] { return launch(*options, context); });
}

void add_env(Command app, Context& context) {
  auto options = std::make_shared<LaunchOptions>();
  Command command = app.subcommand("env", "Print the variables that point a tool at the gateway");
  add_common(command, *options);
  command.flag("--json", options->json, "As JSON");
  command.footer("\nTools:" + tool_list() + R"HELP(

Example:
  eval "$(spillway env openai)" && python3 my_program.py)HELP");
  command.action([&context, options] { return print_environment(*options, context); });
}

}  // namespace spillway::cli
