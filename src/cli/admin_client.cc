#include "cli/admin_client.h"

#include <boost/asio/co_spawn.hpp>

#include "cli/output.h"
#include "http/client.h"

namespace spillway::cli {

namespace {

Task<Result<std::string>> get(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, http::Url url,
                              std::string path, TimePoint until) {
  http::Origin origin;
  origin.url = url;
  const auto unreachable = [&](const std::string& why) {
    return Error{ErrorCode::kUnavailable, "nothing answers at http://" + origin.url.authority() + ": " + why,
                 "is `spillway serve` running? --admin HOST:PORT names another server.admin_listen"};
  };
  auto connection = std::make_shared<http::ClientConnection>(loop, timers, http::ParserLimits{});
  if (co_await connection->open(origin, resolver, until) != http::ClientStatus::kOk)
    co_return unreachable(connection->failure());
  const std::string request =
      "GET " + path + " HTTP/1.1\r\nHost: " + origin.url.authority() + "\r\nConnection: close\r\n\r\n";
  std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
  http::ClientStatus status = co_await connection->send(buffers, until);
  while (status == http::ClientStatus::kOk) status = co_await connection->receive(until);
  if (status != http::ClientStatus::kComplete) co_return unreachable(connection->failure());
  if (connection->status() != 200) {
    co_return Error{ErrorCode::kUnavailable,
                    "http://" + origin.url.authority() + path + " answered " + std::to_string(connection->status()),
                    "is it Spillway's admin_listen, and of the same version?"};
  }
  co_return std::string(connection->body());
}

}  // namespace

Result<config::Address> admin_address(const Context& context, const std::string& option) {
  if (!option.empty()) {
    if (const auto parsed = config::parse_address(option); parsed && parsed->port != 0) return *parsed;
    return Error{ErrorCode::kInvalidArgument, "--admin " + option + " is not an address",
                 "as in --admin 127.0.0.1:8081"};
  }
  const config::Loaded loaded = context.load_config();
  if (!loaded.config) {
    print_problems(loaded);
    return Error{ErrorCode::kInvalidArgument, "the config does not say where the admin plane is",
                 "mend it, or use --admin HOST:PORT"};
  }
  if (loaded.config->server.admin_listen.port == 0) {
    return Error{ErrorCode::kInvalidArgument, "server.admin_listen has port 0, so only `serve` knows the port it took",
                 "--admin HOST:PORT, with the address that `spillway serve` printed"};
  }
  return loaded.config->server.admin_listen;
}

Result<std::string> get_admin(const config::Address& address, const std::string& path, milliseconds limit) {
  asio::io_context loop(1);
  LoopTimers timers(loop);
  http::Resolver resolver(loop, timers);
  http::Url url;
  url.host = address.host == "0.0.0.0" ? "127.0.0.1" : address.host == "::" ? "::1" : address.host;
  url.port = address.port;
  Result<std::string> answer = Error{ErrorCode::kInternal, "the request failed by an exception", {}};
  const auto into = [](Task<Result<std::string>> asked, Result<std::string>& out) -> Task<> {
    out = co_await std::move(asked);
  };
  asio::co_spawn(loop, into(get(loop, timers, resolver, url, path, now() + limit), answer),
                 [&loop](const std::exception_ptr&) { loop.stop(); });
  loop.run();
  return answer;
}

}  // namespace spillway::cli
