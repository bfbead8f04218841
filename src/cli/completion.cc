// Scripts for shells, made from the commands and options as they are declared.
#include <memory>
#include <string>
#include <vector>

#include "cli/app.h"
#include "cli/output.h"

namespace spillway::cli {

namespace {

using Flag = Command::Flag;

std::string spaced(std::string choices) {
  for (char& c : choices) c = c == '|' ? ' ' : c;
  return choices;
}

std::string without_quotes(std::string text, std::string_view unwanted) {
  for (char& c : text) c = unwanted.find(c) != std::string_view::npos ? ' ' : c;
  return text;
}

std::string bash(const std::vector<Flag>& globals, const std::vector<Command>& commands) {
  std::string names;
  std::string global_names;
  for (const Command& command : commands) names += (names.empty() ? "" : " ") + command.name();
  for (const Flag& flag : globals) global_names += " " + flag.name;
  std::string values;
  std::string cases;
  const auto add_value = [&](const Flag& flag) {
    if (flag.value.empty()) return;
    std::string how = "return";
    if (flag.value == "FILE") how = "COMPREPLY=($(compgen -f -- \"$current\")); return";
    if (flag.value == "DIR") how = "COMPREPLY=($(compgen -d -- \"$current\")); return";
    if (flag.value.find('|') != std::string::npos)
      how = "COMPREPLY=($(compgen -W \"" + spaced(flag.value) + "\" -- \"$current\")); return";
    values += "    " + flag.name + ") " + how + " ;;\n";
  };
  for (const Flag& flag : globals) add_value(flag);
  for (const Command& command : commands) {
    std::string words;
    for (const Flag& flag : command.flags()) {
      words += " " + flag.name;
      add_value(flag);
    }
    if (command.name() == "completion") words += " bash zsh fish";
    const std::string files = command.name() == "import" ? " $(compgen -f -- \"$current\")" : "";
    cases += "    " + command.name() + ") words=\"" + words.substr(1) + global_names + "\"" +
             (files.empty() ? "" : "; COMPREPLY=($(compgen -f -- \"$current\"))") + " ;;\n";
  }
  return "# bash completion for spillway: source <(spillway completion bash)\n"
         "_spillway() {\n"
         "  local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD - 1]}\" command=\"\" word "
         "words\n"
         "  COMPREPLY=()\n"
         "  case \"$previous\" in\n" +
         values +
         "  esac\n"
         "  for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "    case \" " +
         names +
         " \" in *\" $word \"*) command=\"$word\"; break ;; esac\n"
         "  done\n"
         "  case \"$command\" in\n"
         "    \"\") words=\"" +
         names + global_names + "\" ;;\n" + cases +
         "  esac\n"
         "  COMPREPLY+=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -F _spillway spillway\n";
}

std::string zsh_flag(const Flag& flag) {
  std::string out = "'" + flag.name + "[" + without_quotes(flag.about, "'[]:") + "]";
  if (!flag.value.empty()) {
    std::string how = flag.value == "FILE" ? "_files" : flag.value == "DIR" ? "_files -/" : "";
    if (flag.value.find('|') != std::string::npos) how = "(" + spaced(flag.value) + ")";
    out += ":" + without_quotes(flag.value, "'[]:") + ":" + how;
  }
  return out + "'";
}

std::string zsh(const std::vector<Flag>& globals, const std::vector<Command>& commands) {
  std::string global_flags;
  for (const Flag& flag : globals) global_flags += " " + zsh_flag(flag);
  std::string described;
  std::string cases;
  for (const Command& command : commands) {
    described += "    '" + command.name() + ":" + without_quotes(command.about(), "':") + "'\n";
    std::string flags;
    for (const Flag& flag : command.flags()) flags += " " + zsh_flag(flag);
    if (command.name() == "completion") flags += " '1:shell:(bash zsh fish)'";
    if (command.name() == "import") flags += " '1:file:_files' '2:name:'";
    cases += "      " + command.name() + ") _arguments" + flags + global_flags + " ;;\n";
  }
  return "#compdef spillway\n"
         "# zsh completion for spillway: spillway completion zsh > \"${fpath[1]}/_spillway\"\n"
         "_spillway() {\n"
         "  local line state\n"
         "  local -a commands=(\n" +
         described +
         "  )\n"
         "  _arguments -C" +
         global_flags +
         " '1: :->command' '*:: :->rest'\n"
         "  case $state in\n"
         "    command) _describe 'command' commands ;;\n"
         "    rest)\n"
         "      case $line[1] in\n" +
         cases +
         "      esac ;;\n"
         "  esac\n"
         "}\n"
         "compdef _spillway spillway\n";
}

std::string fish_flag(const Flag& flag, const std::string& condition) {
  std::string out = "complete -c spillway" + condition + " -l " + flag.name.substr(2) + " -d '" +
                    without_quotes(flag.about, "'") + "'";
  if (flag.value == "FILE") return out + " -r -F\n";
  if (flag.value == "DIR") return out + " -x -a '(__fish_complete_directories)'\n";
  if (flag.value.find('|') != std::string::npos) return out + " -x -a '" + spaced(flag.value) + "'\n";
  return out + (flag.value.empty() ? "\n" : " -x\n");
}

std::string fish(const std::vector<Flag>& globals, const std::vector<Command>& commands) {
  std::string out = "# fish completion for spillway: spillway completion fish | source\ncomplete -c spillway -f\n";
  for (const Flag& flag : globals) out += fish_flag(flag, "");
  for (const Command& command : commands) {
    out += "complete -c spillway -n __fish_use_subcommand -a " + command.name() + " -d '" +
           without_quotes(command.about(), "'") + "'\n";
    const std::string condition = " -n '__fish_seen_subcommand_from " + command.name() + "'";
    for (const Flag& flag : command.flags()) out += fish_flag(flag, condition);
    if (command.name() == "completion") out += "complete -c spillway" + condition + " -a 'bash zsh fish'\n";
    if (command.name() == "import") out += "complete -c spillway" + condition + " -F\n";
  }
  return out;
}

}  // namespace

void add_completion(Command app, Context& /*context*/) {
  Command command = app.subcommand("completion", "Print a script that completes commands and options in a shell");
  auto shell = std::make_shared<std::string>();
  command.option("shell", *shell, "bash, zsh or fish")
      .required()
      .value("bash|zsh|fish")
      .one_of({"bash", "zsh", "fish"});
  command.footer(R"(
Examples:
  source <(spillway completion bash)
  spillway completion zsh > "${fpath[1]}/_spillway"
  spillway completion fish > ~/.config/fish/completions/spillway.fish)");
  command.action([app, shell] {
    const std::vector<Flag> globals = app.flags();
    const std::vector<Command> commands = app.subcommands();
    const std::string script = *shell == "bash"  ? bash(globals, commands)
                               : *shell == "zsh" ? zsh(globals, commands)
                                                 : fish(globals, commands);
    return print(script) ? kFine : kFailed;
  });
}

}  // namespace spillway::cli
