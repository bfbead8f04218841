#include <editline/readline.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <iterator>

#include "base/text.h"
#include "cli/app.h"
#include "cli/chat_client.h"
#include "cli/gateway_at.h"
#include "cli/output.h"
#include "cli/signal_mask.h"

namespace spillway::cli {

namespace {

constexpr int kMostHistory = 1'000;  // lines
constexpr const char* kDim = "\033[2m";
constexpr const char* kPlain = "\033[0m";

struct RunOptions {
  std::string model;
  std::vector<std::string> prompt;
  std::string url;
  std::string system;
  std::int64_t max_tokens = -1;
  bool quiet = false;
};

constexpr const char* kHelp =
    "  /help            this text\n"
    "  /clear           forget what was said\n"
    "  /system TEXT     what the model is told first; without a text: nothing\n"
    "  /model NAME      ask for another model from here on\n"
    "  /bye             leave, as Ctrl-D does\n"
    "  \"\"\"              begins and ends a text of several lines; a \\ at the end of a line goes on with the next\n"
    "  Ctrl-C           stops the answer\n";

// A chat with one model: what was said, and how an answer is shown.
class Chat {
 public:
  Chat(const RunOptions& options, http::Url gateway)
      : options_(options), gateway_(std::move(gateway)), model_(options.model), colours_(::isatty(STDOUT_FILENO) == 1) {
    set_system(options.system);
  }

  // False: there is no answer, and why was told.
  bool ask(const std::string& text) {
    turns_.push_back({"user", text});
    ChatListener listener;
    bool thinking = false;
    listener.on_text = [&](const std::string& piece) {
      end_thinking(thinking);
      print(piece);
    };
    listener.on_reasoning = [&](const std::string& piece) {
      if (!colours_) return;  // what is piped on is the answer alone
      if (!std::exchange(thinking, true)) print(kDim);
      print(piece);
    };
    const Result<ChatAnswer> answer = ask_gateway(gateway_, {model_, turns_, options_.max_tokens}, listener);
    end_thinking(thinking);
    if (!answer) {
      turns_.pop_back();
      print_error(answer.error());
      return false;
    }
    if (!answer->text.ends_with('\n')) print("\n");
    if (!options_.quiet) tell(*answer);
    turns_.push_back({"assistant", answer->text});
    return true;
  }

  // A line that begins with a slash. False: to leave.
  bool obey(const std::string& line) {
    const std::size_t space = std::min(line.find(' '), line.size());
    const std::string word = line.substr(0, space);
    const std::string rest(trim(std::string_view(line).substr(space)));
    if (word == "/bye" || word == "/exit" || word == "/quit") return false;
    if (word == "/help" || word == "/?") {
      print(kHelp);
    } else if (word == "/clear") {
      std::erase_if(turns_, [](const Turn& turn) { return turn.role != "system"; });
      print("Forgotten.\n");
    } else if (word == "/system") {
      set_system(rest);
    } else if (word == "/model" && !rest.empty()) {
      model_ = rest;
    } else {
      print(word + " is no command; /help lists those that are\n");
    }
    return true;
  }

  [[nodiscard]] const std::string& model() const { return model_; }

 private:
  void set_system(const std::string& text) {
    std::erase_if(turns_, [](const Turn& turn) { return turn.role == "system"; });
    if (!text.empty()) turns_.insert(turns_.begin(), {"system", text});
  }
  void end_thinking(bool& thinking) const {
    if (std::exchange(thinking, false)) print(std::string(kPlain) + "\n\n");
  }
  // Who answered, and how fast; on stderr.
  static void tell(const ChatAnswer& answer) {
    const bool colours = ::isatty(STDERR_FILENO) == 1;
    std::string line = "[" + answer.backend;
    if (!answer.model.empty()) line += " · " + answer.model;
    if (answer.stopped) line += " · stopped";
    if (answer.resumed) line += " · another Backend finished it";
    char numbers[96];
    std::snprintf(numbers, sizeof numbers, " · first token %.0f ms · %lld tokens", answer.first_token_ms,
                  static_cast<long long>(answer.tokens));
    line += numbers;
    if (answer.tokens_per_second > 0) {
      std::snprintf(numbers, sizeof numbers, " · %.1f tokens/s", answer.tokens_per_second);
      line += numbers;
    }
    std::cerr << (colours ? kDim : "") << line << "]" << (colours ? kPlain : "") << std::endl;
  }

  const RunOptions& options_;
  http::Url gateway_;
  std::string model_;
  bool colours_;
  std::vector<Turn> turns_;
};

// Lines from the terminal, with a history that outlives the program.
class Lines {
 public:
  explicit Lines(std::filesystem::path file) : file_(std::move(file)) {
    std::setlocale(LC_CTYPE, "");
    ::using_history();
    ::stifle_history(kMostHistory);
    ::read_history(file_.c_str());
  }
  ~Lines() {
    ::write_history(file_.c_str());
    ::chmod(file_.c_str(), S_IRUSR | S_IWUSR);  // prompts are nobody else's affair
  }
  Lines(const Lines&) = delete;
  Lines& operator=(const Lines&) = delete;

  // One question, which may have several lines. Nothing: the end.
  std::optional<std::string> next() {
    auto line = one(">>> ");
    if (!line) return std::nullopt;
    std::string text = *line;
    constexpr std::string_view kQuotes = "\"\"\"";
    if (text.starts_with(kQuotes)) {
      text.erase(0, kQuotes.size());
      while (!text.ends_with(kQuotes)) {
        line = one("... ");
        if (!line) return std::nullopt;
        text += "\n" + *line;
      }
      text.resize(text.size() - kQuotes.size());
    }
    while (text.ends_with('\\')) {
      text.back() = '\n';
      line = one("... ");
      if (!line) return std::nullopt;
      text += *line;
    }
    return text;
  }

 private:
  static std::optional<std::string> one(const char* prompt) {
    char* const read = ::readline(prompt);
    if (read == nullptr) return std::nullopt;
    std::string line(read);
    std::free(read);
    if (!trim(line).empty()) ::add_history(line.c_str());
    return line;
  }

  std::filesystem::path file_;
};

int converse(Chat& chat, const Context& context) {
  // At the prompt Ctrl-C does nothing; while an answer comes it stops that. Blocked, since a signal that interrupts
  // readline() may look like the end of what is typed; one that has come is forgotten.
  const SignalMask at_prompt(SignalMask::To::kBlock, SIGINT);
  std::signal(SIGINT, SIG_IGN);
  print(chat.model() + "; /help tells what else can be said, Ctrl-D leaves\n");
  Lines lines(context.data() / "chat_history");
  while (const auto line = lines.next()) {
    std::signal(SIGINT, SIG_IGN);
    const std::string text(trim(*line));
    if (text.empty()) continue;
    if (!text.starts_with('/')) {
      chat.ask(text);
    } else if (!chat.obey(text)) {
      break;
    }
    std::signal(SIGINT, SIG_IGN);
  }
  return kFine;
}

std::string piped_text() { return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()}; }

int run_chat(const RunOptions& options, const Context& context) {
  Result<http::Url> url = gateway_url(context, options.url);
  if (!url) {
    print_error(url.error());
    return kUsage;
  }
  std::string question;
  for (const std::string& word : options.prompt) question += (question.empty() ? "" : " ") + word;
  const bool from_terminal = ::isatty(STDIN_FILENO) == 1;
  if (!from_terminal) {
    const std::string piped = piped_text();
    if (!trim(piped).empty()) question += (question.empty() ? "" : "\n\n") + piped;
  }
  const bool interactive = from_terminal && question.empty();
  if (!interactive && trim(question).empty()) {
    print_error({ErrorCode::kInvalidArgument, "there is no prompt", "as in: echo \"Why?\" | spillway run MODEL"});
    return kUsage;
  }
  std::unique_ptr<OwnGateway> own;
  if (url->port == 0 || !is_alive(*url)) {
    if (!options.url.empty()) {
      print_error({ErrorCode::kUnavailable, "no gateway answers at " + options.url, "start one: spillway serve"});
      return kFailed;
    }
    if (!options.quiet)
      std::cerr << "no gateway runs at http://" << url->authority() << "; starting one for this chat\n";
    auto started = OwnGateway::start(context, options.model);
    if (!started) {
      print_error(started.error());
      return kFailed;
    }
    own = std::move(*started);
    url = own->url();
  }
  Chat chat(options, *url);
  if (interactive) return converse(chat, context);
  return chat.ask(question) ? kFine : kFailed;
}

}  // namespace

void add_run(Command app, Context& context) {
  Command command = app.subcommand("run", "Chat in the terminal, through the gateway, streaming");
  auto options = std::make_shared<RunOptions>();
  command.option("MODEL", options->model, "The model's name, as any client would ask for it").required();
  command.option("PROMPT", options->prompt, "One question; without one a chat begins. What is piped in is added");
  command.option("--url", options->url, "The gateway [server.listen of the config]").value("http://HOST:PORT");
  command.option("--system", options->system, "What the model is told first").value("TEXT");
  command.option("--max-tokens", options->max_tokens, "The longest answer").value("N").positive();
  command.flag("-q,--quiet", options->quiet, "Only the answer: not who gave it, and how fast");
  command.footer(R"(
Where no gateway runs, one is started for as long as the chat lasts. The answer goes to stdout, all else to stderr.

Examples:
  spillway run smollm2:135m
  spillway run deepseek-flash "Why is the sky blue?"
  git diff | spillway run smollm2:135m "Write a commit message for this:")");
  command.action([&context, options] { return run_chat(*options, context); });
}

}  // namespace spillway::cli
