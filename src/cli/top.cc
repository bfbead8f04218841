#include "admin/top.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/admin_client.h"
#include "cli/app.h"
#include "cli/output.h"

namespace spillway::cli {

namespace {

struct TopOptions {
  std::string admin;
  double interval_s = 1;
  int count = 0;  // screens; 0: until Ctrl-C on a terminal, else one
  bool json = false;
};

std::atomic<bool> interrupted{false};

Result<admin::Status> ask(const config::Address& address) {
  const auto body = get_admin(address, "/admin/v1/status", kAdminTime);
  if (!body) return body.error();
  return admin::from_json(*body);
}

// In pieces, so that Ctrl-C is felt.
void wait(double seconds) {
  const TimePoint until = now() + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  while (now() < until && !interrupted)
    std::this_thread::sleep_for(std::min<Duration>(until - now(), milliseconds(50)));
}

int columns() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

std::string rates_json(const admin::Status& previous, const admin::Status& current) {
  nlohmann::json out = nlohmann::json::parse(admin::to_json(current), nullptr, false);
  const std::vector<admin::Rates> rates = admin::rates_between(previous, current);
  for (std::size_t i = 0; i < rates.size(); ++i) {
    out["backends"][i]["answered_per_s"] = rates[i].answered_per_s;
    out["backends"][i]["failed_per_s"] = rates[i].failed_per_s;
  }
  return out.dump() + "\n";
}

int top(const Context& context, const TopOptions& options) {
  const auto address = admin_address(context, options.admin);
  if (!address) {
    print_error(address.error());
    return kUsage;
  }
  const bool terminal = ::isatty(STDOUT_FILENO) == 1 && !options.json;
  const int screens = options.count > 0 ? options.count : terminal ? 0 : 1;
  std::signal(SIGINT, [](int) { interrupted = true; });
  auto previous = ask(*address);
  for (int shown = 0; previous && !interrupted && (screens == 0 || shown < screens); ++shown) {
    // A terminal need not stay empty until there are rates.
    if (!terminal || shown > 0) wait(options.interval_s);
    if (interrupted) break;
    auto current = ask(*address);
    if (!current) {
      previous = current;
      break;
    }
    std::string out = options.json ? rates_json(*previous, *current)
                                   : admin::to_top(*previous, *current, {terminal, terminal ? columns() : 0});
    // Home, the screen, and away with what was below: no flicker.
    if (terminal) out = (shown == 0 ? "\x1b[2J\x1b[H" : "\x1b[H") + out + "\x1b[J";
    if (!print(out)) return kFailed;
    if (shown == 0 || current->uptime_s > previous->uptime_s) previous = std::move(current);
  }
  if (previous) return kFine;
  print_error(previous.error());
  return kFailed;
}

}  // namespace

void add_top(Command app, Context& context) {
  Command command = app.subcommand("top", "Watch what runs now, refreshed in place: health, rates, queues");
  auto options = std::make_shared<TopOptions>();
  command.option("--admin", options->admin, "Where the gateway's admin plane is [the config's server.admin_listen]")
      .value("HOST:PORT");
  command.option("--interval", options->interval_s, "Seconds between two looks [1]").range(0.05, 3'600.0);
  command.option("--count", options->count, "Looks [until Ctrl-C on a terminal, else 1]").range(1, 1'000'000);
  command.flag("--json", options->json, "Print each look as one line of JSON: the status, and rates by Backend");
  command.footer(R"(
HEALTH: ready; failing, since its last Attempt failed; spared, with the share of its requests that it gets. LIMIT: Attempts at
once. QUEUE: requests that wait for room there. Failures that are nobody's (outrun, abandoned, shed) are not in FAILED/S.

Exit codes: 0 it was shown, 1 nothing answers.

Examples:
  spillway top
  spillway top --json --count 5 --interval 2)");
  command.action([&context, options] { return top(context, *options); });
}

}  // namespace spillway::cli
