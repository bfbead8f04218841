// Docker Engine's HTTP API, over its Unix-domain socket.
// https://docs.docker.com/reference/api/engine/, read 2026-11; versions 1.40 (which can ask for GPUs) and on.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "base/loop_timers.h"
#include "base/result.h"
#include "config/load.h"
#include "http/client.h"
#include "http/resolver.h"

namespace spillway::fleet::docker {

// DOCKER_HOST, else /var/run/docker.sock. kInvalidArgument for one that is no unix:// address.
Result<std::string> socket_of(const config::Environment& environment);

struct Answer {
  int status = 0;
  std::string body;
};

// A request that may be broken off.
class Call {
 public:
  void abort();
  [[nodiscard]] bool aborted() const { return aborted_; }

 private:
  friend class Api;
  std::shared_ptr<http::ClientConnection> connection_;
  bool aborted_ = false;
};

// Held by shared_ptr, since what is under way keeps it. One thread; all three references have to outlive it.
class Api : public std::enable_shared_from_this<Api> {
 public:
  Api(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver, std::string socket)
      : loop_(loop), timers_(timers), resolver_(resolver), socket_(std::move(socket)) {}

  // One request; `path` without the version, which is negotiated at first. Any status is a value; kUnavailable is a
  // daemon that cannot be reached, or that does not answer `within` that time.
  Task<Result<Answer>> ask(std::string method, std::string path, std::string body = {}, Duration within = kWithin,
                           std::shared_ptr<Call> call = nullptr);
  // GET of what goes on for as long as a container runs: each piece goes to `take`. Ends with the answer.
  Task<Status> follow(std::string path, std::function<void(std::string_view)> take, std::shared_ptr<Call> call);

  [[nodiscard]] const std::string& socket() const { return socket_; }
  [[nodiscard]] asio::io_context& loop() const { return loop_; }
  [[nodiscard]] LoopTimers& timers() const { return timers_; }

  static constexpr seconds kWithin{30};  // creating one on a busy machine
  static constexpr std::chrono::hours kForever{24 * 365};

 private:
  Task<Status> negotiate();
  Task<Result<std::shared_ptr<http::ClientConnection>>> send(std::string method, std::string path, std::string body,
                                                             TimePoint until, std::shared_ptr<Call> call);

  asio::io_context& loop_;
  LoopTimers& timers_;
  http::Resolver& resolver_;
  std::string socket_;
  std::string version_;  // "/v1.41"; empty: not negotiated yet
};

// What the daemon says of a request that it refused: `what` was to be done.
Error refusal(const Answer& answer, const std::string& what);

// "%2Fa": for a part of a path or a query (RFC 3986, 2.1).
std::string escape(std::string_view text);

}  // namespace spillway::fleet::docker
