#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <memory>

#include "base/text.h"
#include "cli/app.h"
#include "cli/output.h"
#include "simulate/provider.h"

namespace spillway::cli {

namespace {

struct SimulateOptions {
  std::string profile;
  std::string listen = "127.0.0.1:9090";
  std::vector<std::string> script;
  std::optional<std::uint64_t> seed;  // overrides the profile's
  bool faults = false;
  bool documentation = false;
  bool json = false;
};

std::string list_of_faults() {
  std::string out;
  for (const simulate::Fault& fault : simulate::faults()) {
    std::string name(fault.name);
    name.resize(20, ' ');
    out += name + std::string(fault.about) + "\n";
  }
  return out;
}

// "503" by itself stands for each of its kind: nothing has to be in the profile.
std::optional<Error> take_script(simulate::Profile& profile, const std::vector<std::string>& script) {
  for (const std::string& word : script) {
    if (const std::string why = simulate::why_no_script(profile, word); !why.empty())
      return Error{ErrorCode::kInvalidArgument, "--script: \"" + word + "\" is no fault", why};
  }
  if (!script.empty()) profile.script = script;
  return std::nullopt;
}

std::string line_of(const simulate::Provider::Record& record) {
  return "#" + std::to_string(record.number) + " " + (record.status == 0 ? "-" : std::to_string(record.status)) + " " +
         record.end + (record.fault.empty() ? "" : " by " + record.fault) + ", " + std::to_string(record.tokens) +
         " token(s)" + (record.form.empty() ? "" : ", went on by " + record.form) + "\n";
}

int run_provider(simulate::Profile profile, const config::Address& address, bool json) {
  std::signal(SIGPIPE, SIG_IGN);
  asio::io_context loop(1);
  simulate::Provider provider(loop, std::move(profile));
  const auto port = provider.listen(address);
  if (!port) {
    print_error(port.error());
    return kFailed;
  }
  config::Address taken = address;
  taken.port = *port;
  print("simulated provider on http://" + taken.to_string() + "/v1\n");
  if (!json) provider.on_end([](const simulate::Provider::Record& record) { print(line_of(record)); });
  provider.start();
  asio::signal_set signals(loop, SIGINT, SIGTERM);
  bool told_to_end = false;
  signals.async_wait([&](const ErrorStatus&, int) {
    provider.stop();
    told_to_end = true;
  });
  // Not run(): a timer of the loop may be seconds away when the last connection has ended.
  while (!told_to_end || provider.connections() > 0) loop.run_one();
  loop.poll();
  if (json) print(provider.stats_json() + "\n");
  return kFine;
}

int simulate(const SimulateOptions& options) {
  if (options.documentation) return print(simulate::profile_documentation()) ? kFine : kFailed;
  if (options.faults) return print(list_of_faults()) ? kFine : kFailed;
  simulate::Profile profile;
  if (!options.profile.empty()) {
    simulate::LoadedProfile loaded = simulate::load_profile(options.profile);
    print_problems(loaded.problems);
    if (!loaded.profile) return kUsage;
    profile = std::move(*loaded.profile);
  }
  if (options.seed) profile.seed = *options.seed;
  if (const auto wrong = take_script(profile, options.script)) {
    print_error(*wrong);
    return kUsage;
  }
  const auto address = config::parse_address(options.listen);
  if (!address) {
    print_error({ErrorCode::kInvalidArgument, "--listen " + options.listen + " is not an address",
                 "as in --listen 127.0.0.1:9090"});
    return kUsage;
  }
  return run_provider(std::move(profile), *address, options.json);
}

}  // namespace

void add_simulate(Command app, Context& /*context*/) {
  Command command = app.subcommand("simulate", "Run a simulated provider, which fails as you tell it to");
  auto options = std::make_shared<SimulateOptions>();
  command.option("--profile", options->profile, "How it behaves; see docs/simulate.md").value("FILE");
  command.option("--listen", options->listen, "Where it listens [127.0.0.1:9090]").value("HOST:PORT");
  command
      .option("--script", options->script,
              "Faults, or ok, for one request after the other; the last one repeats: --script ok,503,cut_in_word")
      .separated_by(',')
      .value("FAULT,…");
  command.option("--seed", options->seed, "Same seed, same run; overrides the profile's");
  command.flag("--faults", options->faults, "List what can go wrong");
  command.flag("--documentation", options->documentation, "Print the tables of docs/simulate.md");
  command.flag("--json", options->json, "Print what it has answered at its end, as JSON, instead of a line each");
  command.footer(R"(
It speaks the OpenAI chat API, any model name and key, until SIGTERM or Ctrl-C. What it was sent: GET /simulate/requests, /simulate/stats.

Exit codes: 0 fine, 1 it cannot listen, 2 the profile makes no sense.

Examples:
  spillway simulate
  spillway simulate --script reset            every answer breaks in the middle
  spillway simulate --profile peak.toml --seed 7)");
  command.action([options] { return simulate(*options); });
}

}  // namespace spillway::cli
