#include <memory>

#include "cli/app.h"
#include "cli/output.h"
#include "fleet/models/store.h"

namespace spillway::cli {

void add_cp(Command app, Context& context) {
  Command command = app.subcommand("cp", "Give a Model a second name; takes no space");
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  command.option("from", *from, "NAME or NAME:TAG that is there").required().value("FROM");
  command.option("to", *to, "NAME or NAME:TAG that it shall have too").required().value("TO");
  command.footer(R"(
Examples:
  spillway cp smollm2:135m support-bot:stable)");
  command.action([&context, from, to] {
    const Result<fleet::Model> copied = fleet::Store(context.data() / "models").copy(*from, *to);
    if (copied) return kFine;
    print_error(copied.error());
    return copied.error().code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
  });
}

}  // namespace spillway::cli
