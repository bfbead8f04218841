// `deploy`: the containers of local Backends, as a Config wants them: told, made so, removed, or written down for
// others.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <boost/asio/co_spawn.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/file.h"
#include "cli/app.h"
#include "cli/output.h"
#include "config/members.h"
#include "fleet/launcher/docker/deployment.h"

namespace spillway::cli {

namespace {

using fleet::docker::Change;
using fleet::docker::ContainerSpec;
using Json = nlohmann::json;

struct DeployOptions {
  bool json = false;
  std::filesystem::path output = ".";
  std::uint16_t first_port = 18'001;
};

// A loop for the requests of one command, and what they need.
class Docker {
 public:
  explicit Docker(std::string socket)
      : api_(std::make_shared<fleet::docker::Api>(loop_, timers_, resolver_, std::move(socket))) {}

  [[nodiscard]] const std::shared_ptr<fleet::docker::Api>& api() const { return api_; }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    std::exception_ptr failed;
    asio::co_spawn(loop_, keep(std::move(task), &out), [&](const std::exception_ptr& failure) {
      failed = failure;
      loop_.stop();
    });
    loop_.restart();
    loop_.run();
    if (failed) std::rethrow_exception(failed);
    return *std::move(out);
  }

 private:
  template <class T>
  static Task<> keep(Task<T> task, std::optional<T>* out) {
    out->emplace(co_await std::move(task));
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  http::Resolver resolver_{loop_, timers_};
  std::shared_ptr<fleet::docker::Api> api_;
};

struct Wanted {
  std::vector<fleet::ReplicaPlan> plans;  // of containers that always run
  std::string owner;
};

// Nothing, with the error printed, where the Config or a Backend of it cannot be; then `code` is set.
std::optional<Wanted> read_wanted(const Context& context, int& code) {
  const config::Loaded loaded = context.load_config();
  if (!loaded.config) {
    print_problems(loaded);
    code = kUsage;
    return std::nullopt;
  }
  const config::Config config = config::with_members(*loaded.config);
  Result<std::vector<fleet::ReplicaPlan>> plans = fleet::make_plan(config, context.data(), context.environment);
  if (!plans) {
    print_error(plans.error());
    code = kFailed;
    return std::nullopt;
  }
  std::erase_if(*plans, [](const fleet::ReplicaPlan& plan) {
    return plan.backend.launcher != "docker" || plan.backend.on_demand();
  });
  return Wanted{*std::move(plans), fleet::docker::owner_of(context.data())};
}

std::string bounds_text(const ContainerSpec& spec) {
  std::string out;
  if (spec.cpus > 0) out += fmt::format("  {} cpus", spec.cpus);
  if (spec.memory > 0) out += "  " + size_text(spec.memory);
  if (!spec.gpus.empty()) out += fmt::format("  gpus {}", fmt::join(spec.gpus, ","));
  return out;
}

std::string changes_text(const std::vector<Change>& changes, const Wanted& wanted) {
  std::string out;
  std::map<Change::Kind, int> count;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    ++count[change.kind];
    out += padded(std::string(to_string(change.kind)), 9) + padded(change.backend, 20) + change.spec.name;
    if (change.kind == Change::Kind::kCreate || change.kind == Change::Kind::kReplace) {
      const config::Backend& backend = wanted.plans[i].backend;
      const std::string image = fleet::docker::image_of(wanted.plans[i]);
      out += "  " + image + "  " + fleet::docker::pinned_digest(image, backend.image_digest).substr(0, 19) +
             (change.fetch ? " (to be fetched)" : "") + bounds_text(change.spec);
    }
    out += "\n";
  }
  return out + fmt::format("{} to create, {} to replace, {} to remove, {} as wanted\n", count[Change::Kind::kCreate],
                           count[Change::Kind::kReplace], count[Change::Kind::kRemove], count[Change::Kind::kKeep]);
}

std::string changes_json(const std::vector<Change>& changes) {
  Json out = Json::array();
  for (const Change& change : changes) {
    Json old = Json::array();
    for (const fleet::docker::Found& found : change.old) old.push_back(found.name);
    out.push_back({{"change", to_string(change.kind)},
                   {"backend", change.backend},
                   {"container", change.spec.name},
                   {"image", change.spec.image},
                   {"fetch", change.fetch},
                   {"cpus", change.spec.cpus},
                   {"memory", change.spec.memory},
                   {"removes", old}});
  }
  return out.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

int fail(const Error& error) {
  print_error(error);
  return kFailed;
}

int deploy(const Context& context, const DeployOptions& options, bool apply) {
  int code = kFine;
  const std::optional<Wanted> wanted = read_wanted(context, code);
  if (!wanted) return code;
  Result<std::string> socket = fleet::docker::socket_of(context.environment);
  if (!socket) return fail(socket.error());
  std::optional<fleet::FileLock> charge;
  if (apply) {
    Result<fleet::FileLock> taken = fleet::docker::take_charge(context.data());
    if (!taken) return fail(taken.error());
    charge.emplace(std::move(taken).value());
  }
  Docker docker(*std::move(socket));
  const auto changes = docker.run(fleet::docker::plan_changes(docker.api(), wanted->plans, wanted->owner));
  if (!changes) return fail(changes.error());
  if (!print(options.json ? changes_json(*changes) : changes_text(*changes, *wanted))) return kFailed;
  if (!apply) return kFine;
  for (std::size_t i = 0; i < changes->size(); ++i) {
    const fleet::ReplicaPlan plan = i < wanted->plans.size() ? wanted->plans[i] : fleet::ReplicaPlan{};
    const Status done = docker.run(fleet::docker::carry_out(docker.api(), (*changes)[i], plan, wanted->owner));
    if (!done) return fail({done.error().code, (*changes)[i].backend + ": " + done.error().message, done.error().hint});
  }
  return kFine;
}

int destroy(const Context& context) {
  Result<std::string> socket = fleet::docker::socket_of(context.environment);
  if (!socket) return fail(socket.error());
  const Result<fleet::FileLock> charge = fleet::docker::take_charge(context.data());
  if (!charge) return fail(charge.error());
  Docker docker(*std::move(socket));
  const auto names = docker.run(fleet::docker::destroy(docker.api(), fleet::docker::owner_of(context.data())));
  if (!names) return fail(names.error());
  std::string text;
  for (const std::string& name : *names) text += "removed  " + name + "\n";
  return print(text) ? kFine : kFailed;
}

int export_files(const Context& context, const DeployOptions& options) {
  int code = kFine;
  const std::optional<Wanted> wanted = read_wanted(context, code);
  if (!wanted) return code;
  if (wanted->plans.empty())
    return fail({ErrorCode::kNotFound, "no backend has launcher = \"docker\"", "there is nothing to export"});
  const std::vector<ContainerSpec> specs = fleet::docker::exported(wanted->plans, options.first_port);
  std::string shell =
      "#!/bin/sh\n# SPILLWAY_ENGINE_KEY: the key that these engines ask for.\nset -eu\n: "
      "\"${SPILLWAY_ENGINE_KEY:?}\"\n";
  std::string compose = "# SPILLWAY_ENGINE_KEY: the key that these engines ask for.\n";
  for (std::size_t i = 0; i < specs.size(); ++i) {
    const std::string digest = fleet::docker::pinned_digest(specs[i].image, wanted->plans[i].backend.image_digest);
    const std::string pinned = "# " + specs[i].image + " has to be " + digest + "\n";
    shell += "\n" + pinned + fleet::docker::run_command(specs[i]);
    compose += pinned;
  }
  compose += fleet::docker::compose_file(specs);
  if (Status made = make_writable_directory(options.output); !made) return fail(made.error());
  for (const auto& [name, text] : {std::pair("compose.yaml", &compose), std::pair("docker-run.sh", &shell)}) {
    const std::filesystem::path file = options.output / name;
    if (Status written = write_file_atomically(file, *text); !written) return fail(written.error());
    if (!print(file.string() + "\n")) return kFailed;
  }
  return kFine;
}

}  // namespace

void add_deploy(Command app, Context& context) {
  Command command = app.subcommand("deploy", "The containers of local Backends, as the Config wants them");
  command.needs_subcommand();
  command.footer(R"(
Of Backends with launcher = "docker" that always run. `spillway serve` does the same by itself, and takes over what
`apply` has started. While one runs, `apply` and `destroy` are refused: after a change it is the one to be reloaded.

Examples:
  spillway deploy plan                     what apply would do
  spillway deploy apply
  spillway deploy destroy                  removes all containers of this data folder
  spillway deploy export --output ./out    compose.yaml and docker-run.sh, to run them without Spillway)");
  auto options = std::make_shared<DeployOptions>();
  Command plan = command.subcommand("plan", "Tell what would be done");
  Command apply = command.subcommand("apply", "Do it");
  for (Command each : {plan, apply}) each.flag("--json", options->json, "As JSON");
  plan.action([&context, options] { return deploy(context, *options, false); });
  apply.action([&context, options] { return deploy(context, *options, true); });
  command.subcommand("destroy", "Remove all containers of this data folder").action([&context] {
    return destroy(context);
  });
  Command written = command.subcommand("export", "Write a compose file, and the same as docker commands");
  written.option("--output", options->output, "The folder to write into").value("DIR").shows_default();
  written.option("--first-port", options->first_port, "Of the first engine; the others follow")
      .range(1024, 65'000)
      .shows_default();
  written.action([&context, options] { return export_files(context, *options); });
}

}  // namespace spillway::cli
