// The moving of a stream's events from a Backend to the client.
#pragma once

#include <functional>
#include <string>

#include "api/openai/chat_answer.h"
#include "attempt/outcome.h"
#include "base/time.h"
#include "config/config.h"
#include "http/client.h"
#include "http/response_writer.h"
#include "http/sse.h"

namespace spillway::attempt {

// Relays one stream. Before the first token nothing goes to the client: events are held (bounded by
// limits.max_event). From then on each read is passed on as the whole events that it brought, in
// one gathered write, without a copy; the next read begins when the client's socket has taken them.
class Relay {
 public:
  struct Limits {
    TimePoint first_token_by;
    milliseconds idle{};
    Deadline deadline;
    std::uint64_t max_event = 0;
  };

  // `on_commit` is called once, right before the first bytes go out: it begins the response.
  Relay(http::ClientConnection& upstream, http::ResponseWriter& client, Limits limits, std::function<void()> on_commit);

  // Until the stream's end, from a connection whose response header has been read (`received` is
  // how the read that brought it ended). On kAnswered everything is written but the end of the
  // response.
  Task<Outcome> run(http::ClientStatus received);

  [[nodiscard]] bool committed() const { return committed_; }
  [[nodiscard]] TimePoint first_token_at() const { return first_token_at_; }
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  using Chunk = api::openai::Chunk;

  enum class Step { kGoOn, kEnded };

  // Looks at one event; kEnded sets outcome_.
  Step look(std::string_view event);
  Step look_before_commit(std::string_view event, std::string_view data, const Chunk& chunk);
  Task<bool> flush(std::string_view events);
  Task<Outcome> end_of_input(http::ClientStatus status);
  [[nodiscard]] TimePoint wait_until() const;
  Outcome failed(OutcomeClass cls, std::string detail) const;

  http::ClientConnection& upstream_;
  http::ResponseWriter& client_;
  Limits limits_;
  std::function<void()> on_commit_;
  http::SseScanner scanner_;
  std::string scratch_;  // data of events with several data lines
  std::string held_;     // events before the first token
  std::string insert_;   // goes out before the event that ends the batch
  Chunk identity_;       // of the first chunk: id, model, created
  Outcome outcome_;
  TimePoint first_token_at_{};
  TimePoint last_token_at_{};
  std::uint64_t events_ = 0;
  bool at_start_ = true;  // no event has come
  bool identity_known_ = false;
  bool token_in_batch_ = false;  // of what is not flushed yet
  bool role_seen_ = false;
  bool finish_seen_ = false;
  bool done_seen_ = false;
  bool committed_ = false;
  bool commit_now_ = false;
};

}  // namespace spillway::attempt
