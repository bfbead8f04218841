// A Leg over HTTP, to one Target of a Route.
#pragma once

#include <memory>
#include <string>

#include "admit/gate.h"
#include "api/chat_request.h"
#include "api/continuation.h"
#include "attempt/context.h"
#include "attempt/leg.h"
#include "attempt/request_bodies.h"
#include "attempt/stream_reader.h"
#include "route/route_table.h"

namespace spillway::attempt {

// What all Legs of an Exchange have in common.
struct Ask {
  const http::Request& request;
  const api::ChatRequest& chat;  // as the client asks
  RequestBodies& bodies;
  Deadline deadline;
  const config::Limits& limits;
  std::string_view request_id;  // goes upstream
  const route::Beginning& beginning;
  admit::Priority priority = admit::Priority::kNormal;
};

// Waits for a local engine to be ready, takes a kept connection or opens one, sends, and reads what comes.
class UpstreamLeg final : public Leg {
 public:
  // `resumption`: it is asked to go on with an answer; null: from the beginning.
  UpstreamLeg(const Context& context, const route::Target& target, const Ask& ask,
              const api::Resumption* resumption = nullptr);
  ~UpstreamLeg() override;

  Task<Outcome> open() override;
  Task<Pull> next() override;
  Task<> finish() override;
  void abort() override;

  [[nodiscard]] int status() const override { return upstream_->status(); }
  [[nodiscard]] const std::string& content_type() const override { return content_type_; }
  [[nodiscard]] const std::string& fields() const override { return fields_; }
  [[nodiscard]] std::string_view body() const override;
  [[nodiscard]] const StreamFacts& facts() const override { return reader_ ? reader_->facts() : no_facts_; }
  [[nodiscard]] bool streams() const override { return reader_.has_value(); }
  [[nodiscard]] const api::Format& format() const override { return *body_.format; }
  [[nodiscard]] bool asks_for_stream() const override { return asks_for_stream_; }
  [[nodiscard]] double first_token_ms() const override { return first_token_ms_; }
  [[nodiscard]] Record record() const override;

 private:
  Task<Outcome> ask();
  Task<Outcome> ask_once(std::shared_ptr<http::ClientConnection> kept, bool& stale);
  Task<Outcome> wait_for_turn();
  Task<> pause(milliseconds time);
  static Outcome late_for_turn();
  Task<Outcome> open_stream(http::ClientStatus received);
  Task<Outcome> read_whole(http::ClientStatus received);
  Task<Outcome> read_refusal(http::ClientStatus received);
  [[nodiscard]] Outcome connection_failed(http::ClientStatus status) const;
  [[nodiscard]] bool aggregates() const;
  [[nodiscard]] TimePoint answer_by() const;
  void claim_slot();
  void append_thinking_off(std::vector<api::Edit>& edits) const;
  void first_token_came(TimePoint at);

  const Context& context_;
  const route::Target& target_;
  const Ask& ask_;
  const RequestBody body_;
  const api::Resumption* resumption_;
  std::shared_ptr<http::ClientConnection> upstream_;
  admit::Ticket ticket_;
  backend::SlotBook::Claim slot_;  // of a local engine whose slots are chosen here
  std::shared_ptr<Event> turn_;    // while it waits at the Gate
  std::optional<StreamReader> reader_;
  Outcome whole_;  // of an answer in one piece
  StreamFacts no_facts_;
  http::Headers headers_;
  std::string content_type_;
  std::string fields_;
  std::string own_body_;  // of a refusal that held a secret, or came compressed
  std::string upstream_request_id_;
  const admit::Priority priority_;
  const bool asks_for_stream_;
  TimePoint began_at_;
  TimePoint sent_at_{};
  TimePoint first_token_by_{};  // of a whole answer: all of it
  double queued_ms_ = 0;
  double connect_ms_ = -1;
  double first_token_ms_ = -1;
  bool inside_ = false;                // it was let in
  std::shared_ptr<const void> lease_;  // what answers is not ended before
  bool repeated_ = false;
  bool aborted_ = false;
};

}  // namespace spillway::attempt
