#include "bench/drill.h"

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "base/file.h"
#include "base/foreign_json.h"
#include "cli/admin_client.h"
#include "cli/app.h"
#include "cli/output.h"
#include "config/presets.h"
#include "serve/gateway.h"
#include "simulate/provider.h"

namespace spillway::cli {

namespace {

namespace fs = std::filesystem;

// What a second provider and a local model do meanwhile (as in a Monte Carlo of DeepSeek's peak).
constexpr double kOtherErrors = 0.01;
constexpr double kLocalErrors = 0.002;
constexpr milliseconds kOtherFirstToken{300};
constexpr milliseconds kLocalFirstToken{260};
constexpr double kOverloadedSpread = 0.5;  // of the logarithm: the 95th percentile is 2.3 times the median
constexpr double kUsualSpread = 0.35;
constexpr double kTokensPerSecond = 100;
constexpr double kBytesPerToken = 4;  // of a request, roughly
constexpr seconds kReadyTime{180};    // for local engines to load
constexpr milliseconds kProgressEvery{200};

struct DrillOptions {
  std::string backend;  // that is overloaded; empty: the first Target
  std::string model;
  bool simulate_all = false;
  bool simulate_local = false;
  std::uint64_t requests = 1'000;
  double per_second = 50;
  bool bursty = false;
  double errors = 0.187;
  double slowdown = 4.2;
  double cuts = 0;
  double lead_in = 2;  // seconds of calm, before the peak
  std::int64_t first_token_ms = 280;
  int tokens = 20;
  std::uint64_t seed = 1;
  bool json = false;
  std::string report;
  std::string raw;
};

// DeepSeek, a second provider behind it, and a local model: all of it simulated.
config::Config shipped_scenario() {
  config::Config out;
  config::Backend backend;
  backend.name = backend.preset = "deepseek";
  backend.base_url = "https://api.deepseek.com/v1";
  out.backends.push_back(backend);
  backend.name = backend.preset = "dashscope";
  out.backends.push_back(backend);
  backend = {};
  backend.name = "local";
  backend.engine = "llama.cpp";
  backend.model = "smollm2:135m";
  backend.tier = Tier::kEdge;
  out.backends.push_back(backend);
  config::Route route;
  route.policy = "latency";
  route.targets = {
      {"deepseek", "deepseek-flash", 1, {}, {}}, {"dashscope", "qwen3.8-flash", 1, {}, {}}, {"local", "", 1, {}, {}}};
  out.routes.push_back(route);
  return out;
}

// Removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string name = (fs::temp_directory_path() / "spillway-drill-XXXXXX").string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// The simulated providers, on a thread of their own.
class Providers {
 public:
  Providers() : thread_([this] { run(); }) {}
  ~Providers() {
    asio::post(loop_, [this] {
      for (const auto& provider : providers_) provider->stop();
      ending_ = true;
    });
    work_.reset();
    thread_.join();
  }
  Providers(const Providers&) = delete;
  Providers& operator=(const Providers&) = delete;

  // Their day begins.
  void begin_day() {
    asio::post(loop_, [this] {
      for (const auto& provider : providers_) provider->begin_day();
    });
  }

  // The URL of one more, from now on.
  Result<std::string> add(const simulate::Profile& profile) {
    std::promise<Result<std::string>> made;
    asio::post(loop_, [&] {
      auto provider = std::make_unique<simulate::Provider>(loop_, profile);
      const auto port = provider->listen({"127.0.0.1", 0});
      if (!port) return made.set_value(port.error());
      provider->start();
      providers_.push_back(std::move(provider));
      made.set_value("http://127.0.0.1:" + std::to_string(*port) + "/v1");
    });
    return made.get_future().get();
  }

 private:
  void run() {
    const auto open = [this] {
      return std::ranges::any_of(providers_, [](const auto& provider) { return provider->connections() > 0; });
    };
    while (!ending_ || open()) loop_.run_one();
    loop_.poll();
    providers_.clear();
  }

  asio::io_context loop_{1};
  asio::executor_work_guard<Executor> work_{loop_.get_executor()};
  std::vector<std::unique_ptr<simulate::Provider>> providers_;
  bool ending_ = false;
  std::thread thread_;
};

// "  with Spillway     [#########-----------] 45 %   answered 450, failed 0", over itself; only on a terminal.
class Progress {
 public:
  Progress(std::string name, std::uint64_t most) : name_(std::move(name)), most_(most), shown_(::isatty(2) == 1) {}
  ~Progress() {
    if (shown_ && done_ > 0) std::fputs("\n", stderr);
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void note(const bench::Sample& sample) {
    ++done_;
    ++(sample.answered ? answered_ : failed_);
    if (!shown_ || (now() < next_ && done_ < most_)) return;
    next_ = now() + kProgressEvery;
    constexpr std::uint64_t kWidth = 30;
    const auto full = static_cast<std::size_t>(kWidth * done_ / most_);
    const std::string line = "\r" + name_ + " [" + std::string(full, '#') + std::string(kWidth - full, '-') + "] " +
                             std::to_string(100 * done_ / most_) + " %   answered " + std::to_string(answered_) +
                             ", failed " + std::to_string(failed_);
    std::fputs(line.c_str(), stderr);
    std::fflush(stderr);
  }

 private:
  std::string name_;
  std::uint64_t most_;
  bool shown_;
  std::uint64_t done_ = 0;
  std::uint64_t answered_ = 0;
  std::uint64_t failed_ = 0;
  TimePoint next_{};
};

class Rehearsal {
 public:
  Rehearsal(const Context& context, const DrillOptions& options, config::Config config)
      : context_(context), options_(options), config_(std::move(config)) {}

  // What to print, or what went wrong.
  Result<bench::Drill> run();

 private:
  Status choose();
  Status replace();
  [[nodiscard]] simulate::Profile profile_of(const config::Backend& backend) const;
  [[nodiscard]] bench::LoadPlan plan(const std::string& url) const;
  Status without();
  Status with();
  Status load(const bench::LoadPlan& plan, const std::string& name, std::vector<bench::Drilled>& into);
  void wait_until_ready(const config::Address& admin) const;
  void take_attempts(const fs::path& log);
  void price();
  [[nodiscard]] std::optional<config::Price> price_at(const std::string& backend) const;

  const Context& context_;
  const DrillOptions& options_;
  config::Config config_;
  config::Config asked_;  // as it was given
  const config::Route* route_ = nullptr;
  std::string overloaded_;
  std::string model_;
  std::string overloaded_url_;  // of its twin, for the side without Spillway
  TemporaryFolder folder_;
  Providers providers_;
  bench::Drill drill_;
  std::atomic<bool> interrupted_{false};  // by whoever runs the gateway; whoever asks it looks
};

Status Rehearsal::choose() {
  const auto names_it = [&](const config::Route& route) {
    return std::ranges::any_of(route.targets,
                               [&](const config::Target& target) { return target.backend == options_.backend; });
  };
  for (const config::Route& route : asked_.routes) {
    if (!route.workload.empty()) continue;
    if (!options_.model.empty() && route.model != options_.model) continue;
    if (!options_.backend.empty() && !names_it(route)) continue;
    route_ = &route;
    break;
  }
  if (route_ == nullptr) {
    return Error{ErrorCode::kInvalidArgument,
                 "no Route" + (options_.model.empty() ? "" : " for the model " + options_.model) +
                     (options_.backend.empty() ? "" : " names the backend " + options_.backend),
                 "name a backend that a Route asks, and in --model the Route's own name"};
  }
  overloaded_ = options_.backend.empty() ? route_->targets.front().backend : options_.backend;
  model_ = route_->model.find_first_of("*?") == std::string::npos ? route_->model : "drill";
  return {};
}

simulate::Profile Rehearsal::profile_of(const config::Backend& backend) const {
  simulate::Profile out;
  out.seed = options_.seed;
  out.tokens = options_.tokens;
  out.tokens_per_second = kTokensPerSecond;
  if (backend.name != overloaded_) {
    const bool local = backend.tier != Tier::kCloud;
    out.seed += std::hash<std::string>{}(backend.name) % 1'000;
    out.first_token = local ? kLocalFirstToken : kOtherFirstToken;
    out.latency_spread = kUsualSpread;
    simulate::FaultRule rule;
    rule.kind = "503";
    rule.probability = local ? kLocalErrors : kOtherErrors;
    out.faults.push_back(rule);
    return out;
  }
  out.first_token = milliseconds(options_.first_token_ms);
  out.latency_spread = kOverloadedSpread;
  // Of a day's 24 hours the first minute is calm, and takes the lead-in.
  out.day.starts_at = 0;
  out.day.peak_from = 1;
  out.day.peak_to = 24 * 60;
  out.day.length = milliseconds(static_cast<std::int64_t>(options_.lead_in * 1'000 * 24 * 60));
  out.day.latency = options_.slowdown;
  out.day.error_rate = options_.errors;
  out.day.bursty = options_.bursty;
  if (options_.cuts > 0) {
    simulate::FaultRule rule;
    rule.kind = "cut_in_word";
    rule.probability = options_.cuts;
    out.faults.push_back(rule);
  }
  return out;
}

Status Rehearsal::replace() {
  std::set<std::string> used;
  for (const config::Target& target : route_->targets) used.insert(target.backend);
  for (config::Backend& backend : config_.backends) {
    const bool is_cloud = backend.tier == Tier::kCloud;
    const bool simulated =
        backend.name == overloaded_ || (options_.simulate_all && is_cloud) || (options_.simulate_local && !is_cloud);
    if (!simulated) {
      if (used.contains(backend.name)) drill_.real.push_back(backend.name);
      continue;
    }
    if (used.contains(backend.name)) drill_.simulated.push_back(backend.name);
    const simulate::Profile profile = profile_of(backend);
    const auto url = providers_.add(profile);
    if (!url) return url.error();
    if (backend.name == overloaded_) {
      const auto twin = providers_.add(profile);
      if (!twin) return twin.error();
      overloaded_url_ = *twin;
    }
    backend.base_url = *url;
    backend.engine.clear();
    backend.api_key = {};
    backend.headers.clear();
    backend.ca_file.clear();
    backend.kind = Dialect::kOpenAi;
  }
  // Engines that no Target of the Route needs would only take the machine's time.
  std::erase_if(config_.backends, [&](const config::Backend& backend) { return !used.contains(backend.name); });
  const config::Route route = *route_;
  config_.routes = {route};
  config_.server.listen = config_.server.admin_listen = {"127.0.0.1", 0};
  config_.server.require_key = false;
  config_.log.access = (folder_.path() / "access.jsonl").string();
  config_.log.access_max_size = 1u << 30;
  if (!context_.log_level()) config_.log.level = log::Level::kError;
  return {};
}

bench::LoadPlan Rehearsal::plan(const std::string& url) const {
  bench::LoadPlan out;
  out.url = url;
  out.model = model_;
  out.per_second = options_.per_second;
  out.requests = options_.requests + static_cast<std::uint64_t>(std::llround(options_.lead_in * options_.per_second));
  out.tokens = options_.tokens;
  out.seed = options_.seed;
  return out;
}

Status Rehearsal::load(const bench::LoadPlan& plan, const std::string& name, std::vector<bench::Drilled>& into) {
  asio::io_context loop(1);
  Progress progress(name, plan.requests);
  into.reserve(plan.requests);
  bench::Load load(loop, plan, [&](const bench::Sample& sample) {
    progress.note(sample);
    bench::Drilled request;
    request.sample = sample;
    request.counts = sample.number >= plan.requests - options_.requests;
    into.push_back(std::move(request));
  });
  providers_.begin_day();
  bool done = false;
  std::exception_ptr failure;
  asio::co_spawn(loop, load.run(), [&](std::exception_ptr thrown) {
    failure = std::move(thrown);
    done = true;
  });
  while (!done && !interrupted_) loop.run_one_for(std::chrono::milliseconds(100));
  if (failure) std::rethrow_exception(failure);
  std::ranges::sort(into, {}, [](const bench::Drilled& one) { return one.sample.number; });
  if (interrupted_) return Error{ErrorCode::kUnavailable, "interrupted", {}};
  return {};
}

Status Rehearsal::without() {
  asio::io_context loop(1);
  if (Status loaded = load(plan(overloaded_url_), "without Spillway", drill_.without); !loaded) return loaded;
  for (bench::Drilled& request : drill_.without) {
    request.sample.backend = overloaded_;
    request.tried.push_back({overloaded_, request.sample.cls, request.sample.tokens, true});
  }
  return {};
}

void Rehearsal::wait_until_ready(const config::Address& admin) const {
  const TimePoint until = now() + kReadyTime;
  while (now() < until && !interrupted_) {
    const auto body = get_admin(admin, "/admin/v1/status", milliseconds(5'000));
    const auto status = body ? admin::from_json(*body) : Result<admin::Status>(body.error());
    if (status && std::ranges::none_of(status->backends,
                                       [](const admin::BackendStatus& backend) { return backend.state == "starting"; }))
      return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

// The gateway takes this thread, the load one of its own.
Status Rehearsal::with() {
  serve::Gateway::Options options;
  options.config = config_;
  options.data = drill_.real.empty() ? folder_.path() : context_.data();
  options.environment = context_.environment;
  options.log_level = context_.log_level();
  options.say = [](const std::string&) {};
  serve::Gateway gateway(std::move(options));
  if (Status opened = gateway.open(); !opened) return opened;
  const config::Server addresses = gateway.addresses();
  Status loaded;
  std::thread user([&] {
    wait_until_ready(addresses.admin_listen);
    loaded = load(plan("http://" + addresses.listen.to_string() + "/v1"), "with Spillway   ", drill_.with);
    gateway.stop();
  });
  gateway.run();
  interrupted_ = true;  // a signal has ended it, or the load has
  user.join();
  if (!loaded && loaded.error().message != "interrupted") return loaded;
  const std::uint64_t all = plan("").requests;
  if (drill_.with.size() < all) return Error{ErrorCode::kUnavailable, "interrupted", {}};
  take_attempts(folder_.path() / "access.jsonl");
  return {};
}

// What the gateway did for each request, as its access log tells.
void Rehearsal::take_attempts(const fs::path& log) {
  std::map<std::string, std::vector<bench::Tried>> by_id;
  std::ifstream lines(log);
  for (std::string line; std::getline(lines, line);) {
    const auto parsed = nlohmann::json::parse(line, nullptr, false);
    if (!parsed.is_object() || !parsed.contains("attempts")) continue;
    auto& tried = by_id[json::text_at(parsed, {"request_id"})];
    for (const auto& attempt : parsed["attempts"]) {
      const std::string cls = json::text_at(attempt, {"class"});
      tried.push_back({json::text_at(attempt, {"backend"}), cls,
                       static_cast<std::uint64_t>(json::number_at(attempt, {"events"})),
                       cls != "shed" && cls != "unsupported" && cls != "replaced"});
    }
  }
  for (bench::Drilled& request : drill_.with) {
    if (const auto found = by_id.find(request.sample.request_id); found != by_id.end()) request.tried = found->second;
  }
}

std::optional<config::Price> Rehearsal::price_at(const std::string& name) const {
  const auto backend = std::ranges::find(asked_.backends, name, &config::Backend::name);
  const auto target = std::ranges::find(route_->targets, name, &config::Target::backend);
  if (backend == asked_.backends.end() || target == route_->targets.end()) return std::nullopt;
  return config::price_of(*target, *backend);
}

void Rehearsal::price() {
  for (auto* side : {&drill_.without, &drill_.with}) {
    for (bench::Drilled& request : *side) {
      const double asked =
          static_cast<double>(bench::Load::body_of(plan(""), request.sample.number).size()) / kBytesPerToken;
      for (const bench::Tried& tried : request.tried) {
        // What failed before its first token is not charged; what was outrun has been read.
        if (tried.events == 0 && tried.cls != "outrun") continue;
        const auto price = price_at(tried.backend);
        drill_.cost_known &= price.has_value();
        if (price) request.cost += (price->input * asked + price->output * static_cast<double>(tried.events)) / 1e6;
      }
    }
  }
}

std::string peak_text(const DrillOptions& options) {
  const auto number = [](double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
  };
  std::string out = number(options.errors * 100) + " % of its calls fail with 503, " +
                    (options.bursty ? "in bursts" : "evenly") + "; its first token takes " + number(options.slowdown) +
                    " times as long as its calm " + std::to_string(options.first_token_ms) + " ms";
  if (options.cuts > 0) out += "; " + number(options.cuts * 100) + " % of its answers break in the middle";
  return out + "; " + number(options.per_second) + " requests a second";
}

Result<bench::Drill> Rehearsal::run() {
  if (folder_.path().empty()) return Error{ErrorCode::kUnavailable, "no temporary folder can be made", "check TMPDIR"};
  asked_ = config_;
  if (Status chosen = choose(); !chosen) return chosen.error();
  drill_.overloaded = overloaded_;
  drill_.peak = peak_text(options_);
  drill_.per_second = options_.per_second;
  if (Status replaced = replace(); !replaced) return replaced.error();
  if (Status done = without(); !done) return done.error();
  if (Status done = with(); !done) return done.error();
  price();
  return std::move(drill_);
}

bool write_to(const std::string& path, const std::string& text) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << text;
  out.flush();
  if (out) return true;
  print_error({ErrorCode::kUnavailable, path + " cannot be written", {}});
  return false;
}

// A variable that is not set is no matter where no real provider is asked.
config::Environment lenient(const config::Environment& environment) {
  return [environment](const std::string& name) -> std::optional<std::string> {
    auto found = environment(name);
    if (!found && (name.ends_with("_KEY") || name.ends_with("_TOKEN"))) return "simulated";
    return found;
  };
}

int drill(const Context& context, const DrillOptions& options) {
  std::signal(SIGPIPE, SIG_IGN);
  const auto file = context.config_file();
  config::Config config = shipped_scenario();
  DrillOptions chosen = options;
  if (file) {
    config::Loaded loaded =
        config::load_file(*file, options.simulate_all ? lenient(context.environment) : context.environment);
    print_problems(loaded);
    if (!loaded.config) return kUsage;
    config = std::move(*loaded.config);
  } else {
    chosen.simulate_all = chosen.simulate_local = true;
  }
  Rehearsal rehearsal(context, chosen, std::move(config));
  const Result<bench::Drill> result = rehearsal.run();
  if (!result) {
    print_error(result.error());
    return result.error().code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
  }
  if (!options.raw.empty() && !write_to(options.raw, bench::to_raw(*result))) return kFailed;
  if (!options.report.empty() && !write_to(options.report, bench::to_html(*result))) return kFailed;
  return print(options.json ? bench::to_json(*result) : bench::to_text(*result)) ? kFine : kFailed;
}

}  // namespace

void add_drill(Command app, Context& context) {
  Command command =
      app.subcommand("drill", "Rehearse a provider's overload against this config, with a simulated provider");
  auto options = std::make_shared<DrillOptions>();
  command.option("BACKEND", options->backend, "The Backend that is overloaded [the Route's first]");
  command.option("--model", options->model, "The Route that is asked, by its model [the first]").value("NAME");
  command.flag("--simulate-all", options->simulate_all, "Simulate all cloud Backends, so that none is paid for");
  command.flag("--simulate-local", options->simulate_local, "Simulate local ones too, so that no engine is started");
  command.option("--requests", options->requests, "At the peak, on each side [1000]")
      .range(std::uint64_t{1}, std::uint64_t{1'000'000});
  command.option("--rate", options->per_second, "Requests a second [50]").range(0.1, 10'000.0);
  command.flag("--bursty", options->bursty, "Failures come in bursts, rather than evenly");
  command.option("--errors", options->errors, "The share of calls that fail [0.187]").range(0.0, 1.0);
  command.option("--slowdown", options->slowdown, "How many times as long its first token takes [4.2]")
      .range(1.0, 1'000.0);
  command.option("--cuts", options->cuts, "The share of its answers that break in the middle [0]").range(0.0, 1.0);
  command.option("--first-token", options->first_token_ms, "Its first token in calm times, ms [280]")
      .range(std::int64_t{1}, std::int64_t{60'000});
  command.option("--lead-in", options->lead_in, "Seconds of calm before the peak, which do not count [2]")
      .range(0.1, 600.0);
  command.option("--tokens", options->tokens, "Of each answer [20]").range(1, 10'000);
  command.option("--seed", options->seed, "Same seed, same overload [1]");
  command.option("--report", options->report, "Write an HTML report with charts, in one file").value("FILE");
  command.option("--raw", options->raw, "Write each request as a line of JSON").value("FILE");
  command.flag("--json", options->json, "Print the figures as JSON");
  command.footer(R"(
The named Backend is replaced by a simulated one; others are really asked, and paid for, unless --simulate-all is given. Without a config
the shipped scenario is played: DeepSeek, a second provider, a local model, all of them simulated.

Exit codes: 0 it was played, 1 it was not, 2 wrong usage or config.

Examples:
  spillway drill
  spillway drill --bursty --requests 10000 --rate 200 --report drill.html
  spillway --config spillway.toml drill deepseek --simulate-all)");
  command.action([&context, options] { return drill(context, *options); });
}

}  // namespace spillway::cli
