#include "cli/app.h"
#include "cli/output.h"
#include "serve/gateway.h"

namespace spillway::cli {

namespace {

int serve(const Context& context) {
  config::Loaded loaded = context.load_config();
  print_problems(loaded);
  if (!loaded.config) return kUsage;

  serve::Gateway::Options options;
  options.config = std::move(*loaded.config);
  options.files = std::move(loaded.files);
  options.data = context.data();
  options.environment = context.environment;
  options.log_level = context.log_level();
  options.say = [](const std::string& text) { print(text); };
  if (const auto file = context.config_file()) {
    options.reload = [file = *file, environment = context.environment] { return config::load_file(file, environment); };
  }
  serve::Gateway gateway(std::move(options));
  if (const Status opened = gateway.open(); !opened) {
    print_error(opened.error());
    return opened.error().code == ErrorCode::kInvalidArgument ? kUsage : kFailed;
  }
  gateway.run();
  return kFine;
}

}  // namespace

void add_serve(Command app, Context& context) {
  Command command = app.subcommand("serve", "Run the gateway and the local engines until SIGTERM or Ctrl-C");
  command.footer(R"(
SIGTERM or Ctrl-C: no new requests, streams may end within server.drain_timeout; a second one cuts them off.
SIGHUP, or a changed config file: it is read again; a bad one is refused and the old one goes on.

Examples:
  spillway serve
  spillway --config spillway.toml --log-level debug serve)");
  command.action([&context] { return serve(context); });
}

}  // namespace spillway::cli
