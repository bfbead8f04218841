// One upstream answer, pulled.
#pragma once

#include <string>
#include <string_view>

#include "api/format.h"
#include "attempt/outcome.h"
#include "base/bug.h"
#include "base/loop.h"
#include "base/time.h"

namespace spillway::attempt {

using api::StreamFacts;

// What came next of an answer.
struct Pull {
  std::string_view bytes;  // whole events as they came, without [DONE], or a whole answer; valid until the next call
  // The answer has ended with `bytes`: how; kAnswered: it is whole. Null: it goes on. The Leg's own; by pointer, since
  // this is handed up for every token.
  const Outcome* end = nullptr;
  bool calls = false;  // a tool call has begun in it or before it, and the answer is not finished
};

// One try at one Target. It never sees the client: what it has is pulled, by whoever writes to the client, and nothing
// is read from the upstream meanwhile. One thread; open() once, then next() until it tells an end.
class Leg {
 public:
  virtual ~Leg() = default;

  // To the first token of a stream, or to a whole answer. kAnswered: it is there, for next(). For all other classes
  // nothing follows; with kClient status() and body() are the refusal, for the client.
  virtual Task<Outcome> open() = 0;
  virtual Task<Pull> next() = 0;
  // After an end: what is left to do so that the connection can be kept. Short.
  virtual Task<> finish() = 0;
  // Ends what is under way with kAbandoned. Whoever waits goes on inside the call.
  virtual void abort() = 0;

  // Of the upstream's answer, after open().
  [[nodiscard]] virtual int status() const = 0;
  [[nodiscard]] virtual const std::string& content_type() const = 0;
  [[nodiscard]] virtual const std::string& fields() const = 0;  // for the client, as rendered lines
  [[nodiscard]] virtual std::string_view body() const = 0;      // of a refusal
  [[nodiscard]] virtual const StreamFacts& facts() const = 0;
  [[nodiscard]] virtual bool streams() const = 0;  // next() gives events, not a whole answer

  // In which its bytes are.
  [[nodiscard]] virtual const api::Format& format() const = 0;

  // It asks for a stream, before it is known whether one comes.
  [[nodiscard]] virtual bool asks_for_stream() const = 0;

  // From its sending; -1: it did not come to that.
  [[nodiscard]] virtual double first_token_ms() const = 0;

  // For the record. Times are -1 where it did not come to that.
  struct Record {
    double queued_ms = 0;  // for room at the Backend, before anything was sent
    double connect_ms = -1;
    double first_token_ms = -1;
    double total_ms = 0;
    std::uint64_t events = 0;
    bool repeated = false;            // sent once more, the kept connection being dead
    std::string upstream_request_id;  // the provider's own; empty: it gave none
  };
  [[nodiscard]] virtual Record record() const = 0;
};

// leg.open(), but an exception is an outcome too: a fault of our own ends this Attempt alone.
inline Task<Outcome> open_safely(Leg& leg) {
  std::string why;
  try {
    co_return co_await leg.open();
  } catch (...) {
    why = text_of(std::current_exception());
  }
  bug("an Attempt ended by an exception: " + why);
  co_return Outcome{OutcomeClass::kInternal, 0, "a fault of Spillway itself: " + why};
}

}  // namespace spillway::attempt
