#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

void add_rm(Command app, Context& context) {
  Command command = app.subcommand("rm", "Remove a Model from the store");
  auto name = std::make_shared<std::string>();
  command.option("name", *name, "NAME or NAME:TAG").required().value("NAME");
  command.footer(R"(
An engine that runs with it goes on until it ends.

Examples:
  spillway rm smollm2:135m)");
  command.action([&context, name] {
    const Status removed = fleet::Store(context.data() / "models").remove(*name);
    if (removed) return kFine;
    print_error(removed.error());
    return kFailed;
  });
}

}  // namespace spillway::cli
