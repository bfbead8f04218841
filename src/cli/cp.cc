#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

void add_cp(CLI::App& app, Context& context) {
  CLI::App* command = app.add_subcommand("cp", "Give a Model a second name; takes no space");
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  command->add_option("from", *from, "NAME or NAME:TAG that is there")->required()->type_name("FROM");
  command->add_option("to", *to, "NAME or NAME:TAG that it shall have too")->required()->type_name("TO");
  command->footer(R"(
Examples:
  spillway cp smollm2:135m support-bot:stable)");
  command->callback([&context, from, to] {
    const Result<fleet::Model> copied = fleet::Store(context.data() / "models").copy(*from, *to);
    if (copied) return;
    print_error(copied.error());
    context.exit_code = copied.error().code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
  });
}

}  // namespace spillway::cli
