// `ps`: the Models that run now, as users of Ollama know it.
#include <memory>
#include <nlohmann/json.hpp>

#include "admin/status.h"
#include "cli/admin_client.h"
#include "cli/app.h"
#include "cli/output.h"

namespace spillway::cli {

namespace {

std::string as_json(const std::vector<admin::BackendStatus>& running) {
  nlohmann::json out = nlohmann::json::array();
  for (const admin::BackendStatus& backend : running) {
    out.push_back({{"model", backend.model},
                   {"backend", backend.name},
                   {"engine", backend.engine},
                   {"state", backend.state},
                   {"pid", backend.pid},
                   {"memory", backend.memory},
                   {"memory_measured", backend.memory_measured},
                   {"context", backend.context},
                   {"in_flight", backend.in_flight},
                   {"waiting", backend.waiting},
                   {"restarts", backend.restarts}});
  }
  return out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

std::string as_table(const std::vector<admin::BackendStatus>& running) {
  std::size_t model = 7;
  std::size_t name = 9;
  for (const admin::BackendStatus& backend : running) {
    model = std::max(model, backend.model.size() + 2);
    name = std::max(name, backend.name.size() + 2);
  }
  std::string out = padded("MODEL", model) + padded("BACKEND", name) + padded("STATE", 10) + padded("PID", 9) +
                    padded("MEMORY", 12) + padded("CONTEXT", 9) + "ACTIVE\n";
  for (const admin::BackendStatus& backend : running) {
    const std::string memory =
        backend.memory == 0 ? "-" : (backend.memory_measured ? "" : "~") + size_text(backend.memory);
    out += padded(backend.model, model) + padded(backend.name, name) + padded(backend.state, 10) +
           padded(backend.pid == 0 ? "-" : std::to_string(backend.pid), 9) + padded(memory, 12) +
           padded(std::to_string(backend.context), 9) + std::to_string(backend.in_flight) + "\n";
  }
  return out;
}

int ps(const Context& context, const std::string& admin, bool json) {
  const auto address = admin_address(context, admin);
  if (!address) {
    print_error(address.error());
    return kUsage;
  }
  const auto body = get_admin(*address, "/admin/v1/status", kAdminTime);
  const auto status = body ? admin::from_json(*body) : Result<admin::Status>(body.error());
  if (!status) {
    print_error(status.error());
    return kFailed;
  }
  std::vector<admin::BackendStatus> local = status->backends;
  std::erase_if(local, [](const admin::BackendStatus& backend) { return backend.model.empty(); });
  return print(json ? as_json(local) : as_table(local)) ? kFine : kFailed;
}

}  // namespace

void add_ps(Command app, Context& context) {
  Command command = app.subcommand("ps", "List the Models that run now");
  auto admin = std::make_shared<std::string>();
  auto json = std::make_shared<bool>(false);
  command.option("--admin", *admin, "Where the gateway's admin plane is [the config's server.admin_listen]")
      .value("HOST:PORT");
  command.flag("--json", *json, "Print them as JSON");
  command.footer(R"(
Memory with a ~ is what it is expected to take; else what the engine says.

Examples:
  spillway ps)");
  command.action([&context, admin, json] { return ps(context, *admin, *json); });
}

}  // namespace spillway::cli
