// `show`: what a Model is, and what running it takes.
#include <fmt/format.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/gguf.h"
#include "fleet/models/memory.h"
#include "fleet/models/store.h"

namespace spillway::cli {

namespace {

struct ShowOptions {
  std::string model;
  fleet::RunShape shape;
  std::string key_type = "f16";
  std::string value_type = "f16";
  bool only_template = false;
  bool json = false;
};

nlohmann::json memory_json(const fleet::MemoryUse& memory) {
  return {{"weights", memory.weights}, {"cache", memory.cache}, {"compute", memory.compute}, {"total", memory.total()}};
}

nlohmann::json as_json(const fleet::Model& model, const fleet::GgufDetails& details, const ShowOptions& options,
                       const fleet::MemoryUse& memory) {
  nlohmann::json metadata = nlohmann::json::object();
  for (const auto& [key, values] : details.numbers) {
    if (values.size() == 1) {
      metadata[key] = values.front();
    } else {
      metadata[key] = values;
    }
  }
  return {{"name", model.display_name()},
          {"digest", model.digest.empty() ? "" : "sha256:" + model.digest},
          {"path", model.path.string()},
          {"size", model.size},
          {"architecture", details.info.architecture},
          {"parameters", details.info.parameters},
          {"quantization", details.info.quantization},
          {"context_length", details.info.context_length},
          {"vocabulary", details.vocabulary},
          {"license", model.license},
          {"source", model.source},
          {"revision", model.pulled.revision},
          {"imported_at", model.imported_at},
          {"metadata", metadata},
          {"chat_template", details.chat_template},
          {"run", {{"context", options.shape.context}, {"parallel", options.shape.slots}}},
          {"memory", memory_json(memory)}};
}

std::string parameters_text(std::uint64_t count) {
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) return fmt::format("{:.1f} B", value / 1e9);
  if (count >= 1'000'000) return fmt::format("{:.1f} M", value / 1e6);
  return std::to_string(count);
}

void line(std::string& out, const char* name, const std::string& value) {
  if (!value.empty()) out += "  " + padded(name, 16) + value + "\n";
}

std::string as_text(const fleet::Model& model, const fleet::GgufDetails& details, const ShowOptions& options,
                    const fleet::MemoryUse& memory) {
  std::string out = model.display_name() + "\n";
  line(out, "architecture", details.info.architecture);
  line(out, "parameters", parameters_text(details.info.parameters));
  line(out, "quantization", details.info.quantization);
  line(out, "context", details.info.context_length == 0 ? "" : std::to_string(details.info.context_length) + " tokens");
  line(out, "layers", std::to_string(details.number("block_count")));
  line(out, "embedding", std::to_string(details.number("embedding_length")));
  line(out, "heads",
       fmt::format("{}, {} for keys and values", details.number("attention.head_count"),
                   details.number("attention.head_count_kv", details.number("attention.head_count"))));
  if (const std::uint64_t experts = details.number("expert_count"); experts > 0) {
    line(out, "experts", fmt::format("{}, {} used for a token", experts, details.number("expert_used_count")));
  }
  line(out, "vocabulary", std::to_string(details.vocabulary) + " tokens");
  line(out, "template", details.chat_template.empty() ? "none: not a chat model" : "yes (--template prints it)");
  line(out, "license", model.license);
  line(out, "source", model.source);
  line(out, "digest", model.digest.empty() ? "" : "sha256:" + model.digest);
  line(out, "file", model.path.string() + ", " + size_text(model.size));
  line(out, "memory",
       fmt::format("{} at context {}, {} at a time: {} weights, {} cache, {} to compute in", size_text(memory.total()),
                   options.shape.context, options.shape.slots, size_text(memory.weights), size_text(memory.cache),
                   size_text(memory.compute)));
  return out;
}

int show(const Context& context, ShowOptions& options) {
  const auto key_type = fleet::cache_type(options.key_type);
  const auto value_type = fleet::cache_type(options.value_type);
  if (!key_type || !value_type) {
    print_error({ErrorCode::kInvalidArgument, "no such type of cache",
                 "write f32, f16, bf16, q8_0, q4_0, q4_1, iq4_nl, q5_0 or q5_1"});
    return kUsage;
  }
  options.shape.key_type = *key_type;
  options.shape.value_type = *value_type;
  const Result<fleet::Model> model = fleet::Store(context.data() / "models").resolve(options.model);
  const Result<fleet::GgufDetails> details =
      model ? fleet::read_gguf_details(model->path) : Result<fleet::GgufDetails>(model.error());
  if (!details) {
    print_error(details.error());
    return kFailed;
  }
  if (options.only_template) return print(details->chat_template) ? kFine : kFailed;
  const fleet::MemoryUse memory = fleet::estimate_memory(*details, options.shape);
  const std::string text =
      options.json
          ? as_json(*model, *details, options, memory).dump(2, ' ', false, nlohmann::json::error_handler_t::replace) +
                "\n"
          : as_text(*model, *details, options, memory);
  return print(text) ? kFine : kFailed;
}

}  // namespace

void add_show(Command app, Context& context) {
  Command command = app.subcommand("show", "What a Model is, and what memory it takes to run it");
  auto options = std::make_shared<ShowOptions>();
  command.option("model", options->model, "NAME[:TAG], or the path of a GGUF file").required().value("MODEL");
  command.option("--context", options->shape.context, "Tokens of each answer, for the memory")
      .range(std::uint64_t{1}, std::uint64_t{1} << 31)
      .shows_default();
  command.option("--parallel", options->shape.slots, "Answers at a time, for the memory")
      .range(std::uint64_t{1}, std::uint64_t{1} << 16)
      .shows_default();
  command.option("--cache-type-k", options->key_type, "Type of the keys in the cache").shows_default();
  command.option("--cache-type-v", options->value_type, "Type of the values in the cache").shows_default();
  command.flag("--template", options->only_template, "Print its chat template and nothing else");
  command.flag("--json", options->json, "Print everything as JSON");
  command.footer(R"(
Examples:
  spillway show smollm2:135m
  spillway show llama3.2:1b --context 32768 --parallel 4)");
  command.action([&context, options] { return show(context, *options); });
}

}  // namespace spillway::cli
