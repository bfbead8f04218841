// One client request and everything done for it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/chat_request.h"
#include "api/error.h"
#include "attempt/attempt_loop.h"
#include "attempt/context.h"
#include "attempt/delivery.h"
#include "attempt/request_bodies.h"
#include "http/server.h"
#include "route/route_table.h"

namespace spillway::attempt {

// A chat completion: decode, route, Attempts one after the other until one answers, record. Lives
// in the coroutine of its client's connection. `table` and `config` are those of the moment when it
// began; a reload does not touch it, unless it waits for a Backend that is there no more: then it asks `newest`
// (where there is one) for those of now, and begins again, in the time that it has left.
class Exchange {
 public:
  struct Generation {
    std::shared_ptr<const route::RouteTable> table;
    std::shared_ptr<const config::Config> config;
  };
  Exchange(const Context& context, std::shared_ptr<const route::RouteTable> table,
           std::shared_ptr<const config::Config> config, http::ServerConnection& connection,
           const http::Request& request, const api::Format& format, std::function<Generation()> newest = {});

  Task<> run();

 private:
  using Tried = AttemptLoop::Tried;

  [[nodiscard]] Reply reply();
  [[nodiscard]] api::WriterSettings writer_settings() const;
  Task<> answer();
  Task<> end_by_fault(std::string why);
  Task<> attempt(Deadline deadline);
  Task<AttemptLoop::End> try_targets(Deadline deadline);
  bool take_up_newest();
  static void tell_change(const backend::Backend& backend, const backend::Breaker::Change& change);
  static void tell_condition(backend::Backend& backend, const Outcome& outcome);
  void on_attempt_end(backend::Backend& backend, const Tried& tried);
  [[nodiscard]] api::ApiError all_failed();
  void add_refusal(const Tried& tried, api::ApiError& error);
  Task<> fail(api::ApiError error);
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
  const api::Format& format_;  // that the client speaks
  api::ChatRequest chat_;
  const route::Route* route_ = nullptr;
  std::string request_id_;
  admit::Priority priority_ = admit::Priority::kNormal;
  std::unique_ptr<ClientDelivery> delivery_;
  std::optional<RequestBodies> bodies_;
  std::optional<AttemptLoop> loop_;
  std::function<Generation()> newest_;
  std::vector<std::shared_ptr<const route::RouteTable>> former_;  // that it began with
  std::vector<Tried> earlier_;                                    // Attempts at their Targets
  LoopTimers::Entry pause_timer_;
  std::string error_code_;
  TimePoint began_at_;
  double first_token_ms_ = -1;
  std::uint64_t events_ = 0;
};

}  // namespace spillway::attempt
