#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

void add_rm(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("rm", "Remove a Model from the store");
  auto name = std::make_shared<std::string>();
  command->add_option("name", *name, "NAME or NAME:TAG")->required()->type_name("NAME");
  command->footer(R"(
An engine that runs with it goes on until it ends.

Examples:
  spillway rm smollm2:135m)");
  command->callback([&context, name] {
    const Status removed = fleet::Store(context.data() / "models").remove(*name);
    if (removed) return;
    print_error(removed.error());
    context.exit_code = kFailed;
  });
}

}  // namespace spillway::cli
