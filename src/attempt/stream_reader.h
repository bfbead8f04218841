// A Backend's stream of events, as a Leg reads it.
#pragma once

#include <optional>
#include <string>

#include "attempt/events.h"
#include "attempt/leg.h"
#include "attempt/pace.h"
#include "config/config.h"
#include "http/client.h"

namespace spillway::attempt {

// Until the first token events are held (bounded by `max_event`), so that a failure leaves the client untouched. From
// then on each read is given as the whole events that it brought, where they lie: no copy. What is no part of the
// answer (api::Format tells) is left out, a choice that names no role gets one.
class StreamReader {
 public:
  struct Limits {
    TimePoint first_token_by;
    milliseconds idle{};
    Deadline deadline;
    std::uint64_t max_event = 0;
    Pace pace{0};
    std::string_view provider = {};  // whose words an error is in: see class_of_error()
  };

  // From a connection whose response header has been read; `received` is how the read that brought it ended.
  StreamReader(const api::Format& format, http::ClientConnection& upstream, Limits limits, http::ClientStatus received);

  // As those of Leg.
  Task<Outcome> open();
  Task<Pull> next();

  [[nodiscard]] const StreamFacts& facts() const { return facts_; }
  [[nodiscard]] TimePoint first_token_at() const { return first_token_at_; }  // after open() with kAnswered
  [[nodiscard]] std::uint64_t events() const { return events_; }

 private:
  using Chunk = api::Chunk;

  // What an event makes of the stream.
  enum class Seen {
    kComment,
    kNoise,  // left out
    kChunk,
    kToken,  // the answer has begun
    kEnd,    // see end_; the event itself goes no further
  };

  // Looks at the next whole event of the body behind `offset`; 0: there is none. kEnd may come with 0.
  std::size_t look(std::size_t offset, Seen& seen);
  void note_token();
  Seen look_at(std::string_view event);
  Seen look_at_several(std::string_view lines);
  Seen failed(OutcomeClass cls, std::string detail);
  Pull end_of_input();
  Pull end_with(Outcome outcome, std::string_view bytes = {});
  [[nodiscard]] const Outcome* end() const { return end_ ? &*end_ : nullptr; }
  [[nodiscard]] bool calls() const { return facts_.calls && !facts_.finished(); }
  [[nodiscard]] TimePoint wait_until() const;
  [[nodiscard]] Outcome ended(OutcomeClass cls, std::string detail) const;

  const api::Format& format_;
  const std::unique_ptr<api::EventReader> reader_;
  http::ClientConnection& upstream_;
  Limits limits_;
  http::ClientStatus received_;
  EventScanner scanner_;
  std::string scratch_;  // data of events with several data lines
  std::string held_;     // events up to the first token
  std::string instead_;  // goes on in place of the event that was looked at last; empty: the event itself
  std::string given_instead_;
  StreamFacts facts_;
  std::optional<Outcome> end_;
  TimePoint first_token_at_{};
  TimePoint last_token_at_{};
  TimePoint gave_at_{};    // when the last next() gave, where the pace is watched
  std::size_t given_ = 0;  // bytes of the body that the last next() gave, or left out behind them
  std::uint64_t events_ = 0;
  bool at_start_ = true;         // no event has come
  bool open_ = false;            // the first token has come
  bool held_given_ = false;      // next() has given what was held
  bool token_in_batch_ = false;  // of what was given last
};

}  // namespace spillway::attempt
