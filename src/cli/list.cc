#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

namespace {

std::string as_json(const std::vector<fleet::Model>& models) {
  nlohmann::json out = nlohmann::json::array();
  for (const fleet::Model& model : models) {
    out.push_back({{"name", model.name.to_string()},
                   {"digest", "sha256:" + model.digest},
                   {"size", model.size},
                   {"path", model.path.string()},
                   {"architecture", model.gguf.architecture},
                   {"parameters", model.gguf.parameters},
                   {"context_length", model.gguf.context_length},
                   {"quantization", model.gguf.quantization},
                   {"license", model.license},
                   {"source", model.source},
                   {"imported_at", model.imported_at}});
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::vector<fleet::Model>& models) {
  std::size_t width = 6;
  for (const fleet::Model& model : models) width = std::max(width, model.name.to_string().size() + 2);
  std::string out =
      padded("NAME", width) + padded("SIZE", 10) + padded("QUANT", 9) + padded("DIGEST", 15) + "IMPORTED\n";
  for (const fleet::Model& model : models) {
    out += padded(model.name.to_string(), width) + padded(size_text(model.size), 10) +
           padded(model.gguf.quantization, 9) + padded(model.digest.substr(0, 12), 15) + model.imported_at + "\n";
  }
  return out;
}

int list(const Context& context, bool json) {
  const auto models = fleet::Store(context.data() / "models").list();
  if (!models) {
    print_error(models.error());
    return kFailed;
  }
  return print(json ? as_json(*models) : as_table(*models)) ? kFine : kFailed;
}

}  // namespace

void add_list(Command app, Context& context) {
  Command command = app.subcommand("list", "List the Models in the store");
  auto json = std::make_shared<bool>(false);
  command.flag("--json", *json, "Print them as JSON");
  command.footer(R"(
Examples:
  spillway list
  spillway list --json)");
  command.action([&context, json] { return list(context, *json); });
}

}  // namespace spillway::cli
