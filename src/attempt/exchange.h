// One client request and everything done for it.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/error.h"
#include "api/openai/chat_request.h"
#include "attempt/attempt.h"
#include "attempt/context.h"
#include "http/server.h"
#include "route/route_table.h"

namespace spillway::attempt {

// A chat completion: decode, route, Attempts one after the other until one answers, record. Lives
// in the coroutine of its client's connection. `table` and `config` are those of the moment when it
// began; a reload does not touch it.
class Exchange {
 public:
  // While nothing has been sent for so long, a stream's client gets the header and a comment, so
  // that nobody between takes the connection for dead; again after each further such time.
  static constexpr seconds kKeepAliveAfter{15};

  Exchange(const Context& context, std::shared_ptr<const route::RouteTable> table,
           std::shared_ptr<const config::Config> config, http::ServerConnection& connection,
           const http::Request& request);

  Task<> run();

 private:
  struct Tried {
    const backend::Backend* backend = nullptr;
    Outcome outcome;
    record::AttemptLine line;  // its upstream_request_id is filled in when it is written
    std::string upstream_request_id;
  };

  Task<> answer();
  static void tell_condition(backend::Backend& backend, const Outcome& outcome);
  Task<bool> try_target(const route::Target& target, const Ask& ask);
  Task<> fail(api::ApiError error);
  Task<> fail_all();
  void add_refusal(const Tried& tried, api::ApiError& error);
  void commit(std::string_view upstream_fields);
  void keep_alive();
  void add_own_headers();
  void write_record();
  // Nothing: the request's x-spillway-deadline-ms is not a number of milliseconds.
  [[nodiscard]] std::optional<Deadline> deadline_of(const route::Route& route) const;

  const Context& context_;
  std::shared_ptr<const route::RouteTable> table_;
  std::shared_ptr<const config::Config> config_;
  http::ServerConnection& connection_;
  http::ResponseWriter& client_;
  const http::Request& request_;
  api::openai::ChatRequest chat_;
  const route::Route* route_ = nullptr;
  std::string request_id_;
  std::vector<Tried> tried_;
  const backend::Backend* answered_by_ = nullptr;
  Attempt* current_ = nullptr;
  LoopTimers::Entry keep_alive_timer_;
  std::string_view error_code_;
  TimePoint began_at_;
  double first_token_ms_ = -1;
  std::uint64_t events_ = 0;
};

}  // namespace spillway::attempt
