// One try of an Exchange against one Target.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/openai/chat_request.h"
#include "attempt/context.h"
#include "attempt/outcome.h"
#include "http/response_writer.h"
#include "route/route_table.h"

namespace spillway::attempt {

// What all Attempts of an Exchange have in common.
struct Ask {
  const http::Request& request;
  const api::openai::ChatRequest& chat;
  Deadline deadline;
  const config::Limits& limits;
  std::string_view request_id;  // goes upstream
};

// Lives in its Exchange's coroutine. Ends with an Outcome: kAnswered when the client has the whole
// answer, kClient when an upstream's refusal was passed through. For all others the client got
// nothing, unless committed().
class Attempt {
 public:
  // `commit` is called right before the first bytes go to the client, with the fields of the
  // Backend's answer that it may see, as rendered lines.
  Attempt(const Context& context, const route::Target& target, const Ask& ask, http::ResponseWriter& client,
          std::function<void(std::string_view upstream_fields)> commit);
  ~Attempt();

  Task<Outcome> run();

  // The client left: ends what is under way, at once.
  void abort();

  [[nodiscard]] bool committed() const { return committed_; }
  // Milliseconds; -1: it did not come to that.
  [[nodiscard]] double connect_ms() const { return connect_ms_; }
  [[nodiscard]] double first_token_ms() const { return first_token_ms_; }
  [[nodiscard]] double total_ms() const { return to_ms(now() - began_at_); }
  [[nodiscard]] std::uint64_t events() const { return events_; }
  // The provider's own id of this request; empty: it gave none.
  [[nodiscard]] const std::string& upstream_request_id() const { return upstream_request_id_; }
  // It was sent once more on a new connection, since the kept one was dead.
  [[nodiscard]] bool repeated() const { return repeated_; }

 private:
  Task<Outcome> ask();
  Task<Outcome> ask_once(std::shared_ptr<http::ClientConnection> kept, bool& stale);
  Task<Outcome> wait_for_local();
  Task<Outcome> answer_stream(http::ClientStatus received);
  Task<Outcome> answer_whole(http::ClientStatus received);
  Task<Outcome> answer_refusal(http::ClientStatus received);
  Task<http::ClientStatus> receive_all(http::ClientStatus received, TimePoint until);
  [[nodiscard]] Outcome connection_failed(http::ClientStatus status) const;
  [[nodiscard]] TimePoint answer_by() const;

  const Context& context_;
  const route::Target& target_;
  const Ask& ask_;
  http::ResponseWriter& client_;
  std::function<void(std::string_view)> commit_;
  std::shared_ptr<http::ClientConnection> upstream_;
  backend::Backend::Waiter waiter_;
  http::Headers headers_;
  std::string content_type_;
  std::string upstream_fields_;
  std::string upstream_request_id_;
  TimePoint began_at_;
  TimePoint sent_at_{};
  TimePoint first_token_by_{};
  double connect_ms_ = -1;
  double first_token_ms_ = -1;
  std::uint64_t events_ = 0;
  bool repeated_ = false;
  bool committed_ = false;
  bool aborted_ = false;
};

}  // namespace spillway::attempt
