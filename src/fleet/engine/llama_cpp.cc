#include "fleet/engine/llama_cpp.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "fleet/engine/engines.h"

namespace spillway::fleet::llama_cpp {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kProgram = "llama-server";
constexpr std::string_view kMend = "run script/setup, or name one in SPILLWAY_LLAMA_SERVER";

// For so many ms a thread of OpenMP looks for the others before it sleeps. As long as a token takes or so: waking up is
// slow (18 tokens a second with 0, 137 with 1, on two cores). Longer, and a thread that nobody can go on without waits
// for a processor that another one looks around on.
constexpr std::string_view kWaitsAwake = "KMP_BLOCKTIME=1";
constexpr std::uint64_t kMostProgram = 1u << 30;  // bytes

bool is_program(const fs::path& path) {
  std::error_code ec;
  return fs::is_regular_file(path, ec) && ::access(path.c_str(), X_OK) == 0;
}

// A variable that is set and not empty.
std::optional<std::string> variable(const config::Environment& environment, const std::string& name) {
  std::optional<std::string> value = environment(name);
  return value && !value->empty() ? value : std::nullopt;
}

std::optional<fs::path> cache_folder(const config::Environment& environment) {
  if (const auto folder = variable(environment, "SPILLWAY_CACHE")) return fs::path(*folder);
  if (const auto folder = variable(environment, "XDG_CACHE_HOME")) return fs::path(*folder) / "spillway";
  if (const auto home = variable(environment, "HOME")) return fs::path(*home) / ".cache" / "spillway";
  return std::nullopt;
}

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trim(text.substr(0, end));
    if (!line.empty()) lines.push_back(line);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

// A log line is "0.00.021.507 E load_model: text". Without the time; `level` is 0 for other lines.
std::string_view message_of(std::string_view line, char& level) {
  level = 0;
  const std::size_t end = line.find_first_not_of("0123456789.");
  if (end == 0 || end == std::string_view::npos || line.size() < end + 3 || line[end] != ' ' || line[end + 2] != ' ') {
    return line;
  }
  level = line[end + 1];
  return trim(line.substr(end + 3));
}

bool is_failure(std::string_view line, char level) {
  return level == 'E' || (level == 0 && (line.starts_with("error") || line.find("GGML_ASSERT") != std::string::npos ||
                                         line.find("GGML_ABORT") != std::string::npos));
}

// Its cache of earlier prompts, in MiB, where `memory` bounds it: it would grow to 8 GiB and be the engine's end. A
// quarter of what the weights leave, since contexts and computing want most of it.
std::optional<std::uint64_t> bounded_cache(const config::Backend& backend, const Model& model) {
  const std::uint64_t bound = backend.replica_bound();
  if (bound == 0) return std::nullopt;
  return (bound - std::min(bound, model.size)) / 4 >> 20;
}

// Calls `see` with each of `arguments` as an option and its value: behind its '=', else the next argument.
void for_each_option(const std::vector<std::string>& arguments,
                     const std::function<void(std::string_view option, std::string_view value)>& see) {
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (const std::size_t equals = argument.find('='); equals != std::string_view::npos) {
      see(argument.substr(0, equals), argument.substr(equals + 1));
    } else {
      see(argument, i + 1 < arguments.size() ? std::string_view(arguments[i + 1]) : std::string_view());
    }
  }
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(number) : std::nullopt;
}

}  // namespace

Result<fs::path> find_server(const config::Environment& environment) {
  if (const auto named = variable(environment, "SPILLWAY_LLAMA_SERVER")) {
    if (is_program(*named)) return fs::absolute(*named);
    return Error{ErrorCode::kNotFound,
                 "SPILLWAY_LLAMA_SERVER is " + *named + ", which is not a program that can be run",
                 "set it to the path of a llama-server, or unset it"};
  }
  const std::optional<fs::path> cache = cache_folder(environment);
  if (cache) {
    const fs::path built = *cache / "engine" / "current" / "bin" / kProgram;
    if (is_program(built)) return built;
  }
  std::string path = environment("PATH").value_or("");
  for (std::string_view rest = path; !rest.empty();) {
    const std::size_t colon = std::min(rest.find(':'), rest.size());
    const fs::path found = fs::path(rest.substr(0, colon)) / kProgram;
    if (found.is_absolute() && is_program(found)) return found;
    rest.remove_prefix(std::min(colon + 1, rest.size()));
  }
  return Error{ErrorCode::kNotFound,
               "no llama-server: neither " +
                   (cache ? (*cache / "engine/current/bin/llama-server").string() : std::string("a cache folder")) +
                   " nor one in PATH",
               std::string(kMend)};
}

Status check_arguments(const std::vector<std::string>& engine_args) {
  constexpr std::array<std::string_view, 20> kOurs{
      "--host",          "--port",       "--reuse-port", "--api-key",    "--api-key-file", "--ssl-key-file",
      "--ssl-cert-file", "--api-prefix", "--model",      "-m",           "--model-url",    "-mu",
      "--hf-repo",       "-hf",          "-hfr",         "--models-dir", "--alias",        "-a",
      "--parallel",      "-np"};
  return refuse_arguments(engine_args, kOurs);
}

std::vector<std::string> server_arguments(const config::Backend& backend, const Model& model, std::uint16_t port,
                                          int threads) {
  const int slots = backend.parallel + backend.critical_parallel;
  std::string alias = model.display_name();
  std::ranges::replace(alias, ',', '_');  // a comma would make it several names
  std::vector<std::string> out{"--host",     "127.0.0.1",
                               "--port",     std::to_string(port),
                               "--model",    model.path.string(),
                               "--alias",    std::move(alias),
                               "--ctx-size", std::to_string(std::int64_t{backend.context} * slots),
                               "--parallel", std::to_string(slots),
                               "--no-ui",    "--offline",
                               "--metrics",  "--verbosity",
                               "4"};  // 4: it says what memory it takes
  if (backend.engine_threads > 0) threads = backend.engine_threads;
  if (threads > 0) {
    out.emplace_back("--threads");
    out.push_back(std::to_string(threads));
  }
  if (const std::optional<std::uint64_t> mebibytes = bounded_cache(backend, model)) {
    out.emplace_back("--cache-ram");
    out.push_back(std::to_string(*mebibytes));
  }
  out.insert(out.end(), backend.engine_args.begin(), backend.engine_args.end());
  return out;
}

std::vector<std::string> server_environment(const std::vector<std::string>& inherited, const std::string& key) {
  constexpr std::array<std::string_view, 3> kOpenMp{"OMP_", "KMP_", "GOMP_"};
  std::vector<std::string> out = kept_environment(inherited);
  bool tuned = false;
  for (const std::string& entry : inherited) {
    if (std::ranges::none_of(kOpenMp, [&](std::string_view prefix) { return entry.starts_with(prefix); })) continue;
    out.push_back(entry);
    tuned = true;
  }
  if (!tuned) out.emplace_back(kWaitsAwake);
  out.push_back("LLAMA_API_KEY=" + key);
  return out;
}

bool waits_asleep(const fs::path& program) {
  std::vector<fs::path> parts{program};
  std::error_code ec;
  for (const fs::directory_entry& entry : fs::directory_iterator(program.parent_path(), ec)) {
    if (entry.path().filename().string().starts_with("libggml-cpu")) parts.push_back(entry.path());
  }
  return std::ranges::any_of(parts, [](const fs::path& part) {
    const Result<std::string> bytes = read_file(part, kMostProgram);
    return bytes && (bytes->find("libomp.so") != std::string::npos || bytes->find("libgomp.so") != std::string::npos);
  });
}

std::string failure_text(std::string_view log_tail) {
  constexpr std::size_t kMaxLines = 3;
  constexpr std::size_t kMaxBytes = 600;
  std::vector<std::string_view> failures;
  std::vector<std::string_view> messages;
  for (const std::string_view line : lines_of(log_tail)) {
    char level = 0;
    const std::string_view message = message_of(line, level);
    messages.push_back(message);
    // The first ones: those that follow say only what that led to.
    if (is_failure(message, level) && failures.size() < kMaxLines &&
        std::ranges::find(failures, message) == failures.end()) {
      failures.push_back(message);
    }
  }
  if (failures.empty()) {
    failures.assign(messages.end() - static_cast<std::ptrdiff_t>(std::min(kMaxLines, messages.size())), messages.end());
  }
  std::string out;
  for (const std::string_view line : failures) out += (out.empty() ? "" : "; ") + std::string(line);
  if (out.size() > kMaxBytes) out = out.substr(0, kMaxBytes) + "…";
  return out;
}

RunShape run_shape(const config::Backend& backend) {
  RunShape out;
  out.context = static_cast<std::uint64_t>(backend.context);
  out.slots = static_cast<std::uint64_t>(backend.parallel) + static_cast<std::uint64_t>(backend.critical_parallel);
  for_each_option(backend.engine_args, [&out](std::string_view option, std::string_view value) {
    if (option == "--cache-type-k" || option == "-ctk") out.key_type = cache_type(value).value_or(out.key_type);
    if (option == "--cache-type-v" || option == "-ctv") out.value_type = cache_type(value).value_or(out.value_type);
    if (option == "--kv-unified" || option == "-kvu") out.unified = true;
    if (option == "--ubatch-size" || option == "-ub") {
      if (const auto batch = whole_number(value); batch && *batch > 0) out.batch = *batch;
    }
  });
  return out;
}

HeldPrompts held_prompts(const config::Backend& backend, const Model& model) {
  constexpr std::uint64_t kByDefault = 8192;  // MiB
  std::uint64_t mebibytes = bounded_cache(backend, model).value_or(kByDefault);
  for_each_option(backend.engine_args, [&](std::string_view option, std::string_view value) {
    if (option == "--cache-ram" || option == "-cram") mebibytes = whole_number(value).value_or(kByDefault);
  });
  // One cache for all: what a request finds in a slot is no longer what was last asked there.
  const bool unified = run_shape(backend).unified;
  return {unified ? 0 : backend.parallel + backend.critical_parallel, mebibytes << 20};
}

std::optional<MemoryUse> reported_memory(std::string_view log) {
  constexpr std::string_view kTable = "memory breakdown [MiB]";
  constexpr std::uint64_t kMiB = 1u << 20;
  std::optional<MemoryUse> out;
  for (const std::string_view line : lines_of(log)) {
    if (line.find(kTable) != std::string_view::npos) out = MemoryUse{};  // the last table counts
    const std::size_t row = line.find("|   - ");
    if (!out || row == std::string_view::npos) continue;
    // "|   - Host   |   151 =    92 +      45 +      14   |", of a GPU "| 24000 = 20000 + (151 = 92 + 45 + 14) + 0 |"
    std::array<std::uint64_t, 3> numbers{};
    const std::size_t inner = line.find(" + (", row);
    const std::size_t at = line.find("= ", inner == std::string_view::npos ? row : inner);
    if (at == std::string_view::npos) continue;
    std::string_view rest = line.substr(at + 1);
    bool whole = true;
    for (std::uint64_t& number : numbers) {
      const std::size_t begin = rest.find_first_of("0123456789");
      if (begin == std::string_view::npos) {
        whole = false;
        break;
      }
      const std::size_t end = std::min(rest.find_first_not_of("0123456789", begin), rest.size());
      const std::string digits(rest.substr(begin, end - begin));
      std::from_chars(digits.c_str(), digits.c_str() + digits.size(), number);
      rest = rest.substr(end);
    }
    if (!whole) continue;
    out->weights += numbers[0] * kMiB;
    out->cache += numbers[1] * kMiB;
    out->compute += numbers[2] * kMiB;
  }
  if (out && out->total() == 0) return std::nullopt;
  return out;
}

}  // namespace spillway::fleet::llama_cpp

namespace spillway::fleet {

namespace {

class LlamaCpp final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "llama.cpp"; }
  [[nodiscard]] Capabilities capabilities() const override {
    return {Weights::kGguf, false, true, "ghcr.io/ggml-org/llama.cpp:server", "/app/llama-server"};
  }
  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& environment) const override {
    return llama_cpp::find_server(environment);
  }
  [[nodiscard]] Status check_arguments(const std::vector<std::string>& engine_args) const override {
    return llama_cpp::check_arguments(engine_args);
  }
  [[nodiscard]] std::vector<std::string> arguments(const EngineStart& start) const override {
    return llama_cpp::server_arguments(start.backend, start.model, start.port, start.threads);
  }
  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                     const EngineStart& start) const override {
    return llama_cpp::server_environment(inherited, start.key);
  }
  [[nodiscard]] bool waits_asleep(const std::filesystem::path& program) const override {
    return llama_cpp::waits_asleep(program);
  }
  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view text) const override {
    const std::optional<double> running = metric(text, "llamacpp:requests_processing");
    const std::optional<double> waiting = metric(text, "llamacpp:requests_deferred");
    if (!running || !waiting) return std::nullopt;
    return EngineLoad{*running, *waiting, std::nullopt};
  }
  [[nodiscard]] std::string failure_text(std::string_view log_tail) const override {
    return llama_cpp::failure_text(log_tail);
  }
  [[nodiscard]] std::optional<RunShape> run_shape(const config::Backend& backend) const override {
    return llama_cpp::run_shape(backend);
  }
  [[nodiscard]] HeldPrompts held_prompts(const config::Backend& backend, const Model& model) const override {
    return llama_cpp::held_prompts(backend, model);
  }
  [[nodiscard]] std::optional<MemoryUse> reported_memory(std::string_view log) const override {
    return llama_cpp::reported_memory(log);
  }
};

}  // namespace

const Engine& llama_cpp_engine() {
  static const LlamaCpp kEngine;
  return kEngine;
}

}  // namespace spillway::fleet
