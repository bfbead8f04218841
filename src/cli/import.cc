#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

namespace {

int import(const Context& context, const fleet::ImportRequest& request) {
  const auto model = fleet::Store(context.data() / "models").import(request);
  if (!model) {
    print_error(model.error());
    return model.error().code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
  }
  print(model->name.to_string() + "  " + size_text(model->size) + "  sha256:" + model->digest + "\n");
  return kFine;
}

}  // namespace

void add_import(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("import", "Copy a GGUF file into the store of Models, checked, under a name");
  auto request = std::make_shared<fleet::ImportRequest>();
  command->add_option("file", request->file, "The GGUF file")->required()->type_name("FILE");
  command->add_option("name", request->name, "What to call it: NAME or NAME:TAG")->required()->type_name("NAME");
  command->add_option("--sha256", request->sha256, "Refuse the file unless it has this digest")->type_name("HEX");
  command->add_option("--license", request->license, "Its license, as an SPDX id")->type_name("ID");
  command->add_option("--source", request->source, "Where it comes from, for the record")->type_name("TEXT");
  command->footer(R"(
Examples:
  spillway import SmolLM2-135M-Instruct.Q4_1.gguf smollm2:135m --license Apache-2.0)");
  command->callback([&context, request] { context.exit_code = import(context, *request); });
}

}  // namespace spillway::cli
