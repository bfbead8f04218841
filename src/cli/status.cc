#include "admin/status.h"

#include <memory>

#include "cli/admin_client.h"
#include "cli/app.h"
#include "cli/output.h"

namespace spillway::cli {

namespace {

struct StatusOptions {
  std::string admin;
  bool json = false;
};

int status(const Context& context, const StatusOptions& options) {
  const auto address = admin_address(context, options.admin);
  if (!address) {
    print_error(address.error());
    return kUsage;
  }
  const auto body = get_admin(*address, "/admin/v1/status", kAdminTime);
  if (!body) {
    print_error(body.error());
    return kFailed;
  }
  const auto parsed = admin::from_json(*body);
  if (!parsed) {
    print_error(parsed.error());
    return kFailed;
  }
  return print(options.json ? admin::to_json(*parsed) : admin::to_text(*parsed)) ? kFine : kFailed;
}

}  // namespace

void add_status(Command app, Context& context) {
  Command command = app.subcommand("status", "Show what runs now: Backends, Replicas, Routes, and what is wrong");
  auto options = std::make_shared<StatusOptions>();
  command.option("--admin", options->admin, "Where the gateway's admin plane is [the config's server.admin_listen]")
      .value("HOST:PORT");
  command.flag("--json", options->json, "Print it as JSON");
  command.footer(R"(
Exit codes: 0 it runs, 1 nothing answers.

Examples:
  spillway status
  spillway status --json --admin 127.0.0.1:8081)");
  command.action([&context, options] { return status(context, *options); });
}

}  // namespace spillway::cli
