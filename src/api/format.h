// What one endpoint of a Dialect looks like on the wire, both ways.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "api/assembler.h"
#include "api/chat_request.h"
#include "api/conversation.h"
#include "api/endpoint.h"
#include "api/error.h"
#include "api/part.h"
#include "api/stream.h"

namespace spillway::api {

// How the events of a stream are told apart.
enum class Framing {
  kSse,
  kNdjson,
  kWhole,  // one JSON text
};

// Reads the events of one stream, one after the other: the only place that looks into them, whatever becomes of the
// answer. What cannot be read is kGarbage for all; nothing is thrown, and no depth or size is too much for it.
class EventReader {
 public:
  virtual ~EventReader() = default;
  // `type`: the event's, of SSE. Adds to `facts`; to `parts` too, unless they are null: what is no part of an answer
  // adds nothing.
  virtual Chunk read(std::string_view type, std::string_view data, StreamFacts& facts, Parts* parts) = 0;
};

// What is known of the Backend that a request is written for.
struct Recipient {
  bool open_sampling = false;          // it takes top_k, min_p and the like in OpenAI's form
  bool takes_reasoning = true;         // its own reasoning of earlier turns may be sent back
  bool takes_effort = false;           // reasoning_effort
  bool max_completion_tokens = false;  // in place of max_tokens
  bool may_be_silenced = false;        // its thinking can be switched off
  bool fixed_sampling = false;         // it refuses temperature and top_p
  CallIds call_ids = CallIds::kAny;
};

// What an answer is written with.
struct WriterSettings {
  std::int64_t created = 0;                  // seconds since 1970
  std::string id;                            // where the Backend gives none
  std::string model;                         // likewise
  bool include_usage = true;                 // of a stream
  bool base64 = false;                       // vectors, in base64
  std::string_view request_body = {};        // as the client sent it; lives as long as the writer
  std::function<std::int64_t()> elapsed_ns;  // since the request came; may be empty
};

// Writes the events of one stream: each thing once, whatever Legs it comes from.
class StreamWriter {
 public:
  virtual ~StreamWriter() = default;
  // The beginning of the stream was passed on as it came; `facts` tell what it showed. Before append().
  virtual void go_on_from(const StreamFacts& facts) = 0;
  virtual void append(std::string& out, const Part& part) = 0;
  // What is missing at the end of the answer, and the mark that ends the stream.
  virtual void end(std::string& out) = 0;
  // A failure in the middle of the answer; nothing follows.
  virtual void fail(std::string& out, const ApiError& error) = 0;
  // Something that keeps the connection alive, and is no part of the answer. Empty: there is no such thing.
  [[nodiscard]] virtual std::string keep_alive() = 0;
  // Bytes of the answer that it keeps.
  [[nodiscard]] virtual std::size_t held() const { return 0; }
  // A note that clients skip. Empty: there is no such thing.
  [[nodiscard]] virtual std::string note(std::string_view json) = 0;
};

// One for each Endpoint, without state; see format_of(). What an endpoint has not (a stream, Backends that are asked
// so) is as here: nothing is read, nothing can be written.
class Format {
 public:
  constexpr Format(Endpoint endpoint, Framing framing) : endpoint_(endpoint), framing_(framing) {}
  virtual ~Format() = default;

  [[nodiscard]] Endpoint endpoint() const { return endpoint_; }
  [[nodiscard]] Dialect dialect() const { return row_of(endpoint_).dialect; }
  [[nodiscard]] Framing framing() const { return framing_; }
  [[nodiscard]] std::string_view content_type() const {
    return framing_ == Framing::kNdjson ? "application/x-ndjson" : "text/event-stream";
  }

  // Checks the whole body, and notes what Spillway has to know of it. Status 400 names the field or the place.
  // `trusted`: write_request() made it, so it is only looked through.
  [[nodiscard]] virtual std::variant<ChatRequest, ApiError> decode(std::string_view body,
                                                                   bool trusted = false) const = 0;

  // A body that decode() found good, taken apart; views into it. 400: it holds what no other Dialect can say, or what
  // is of a wrong type.
  [[nodiscard]] virtual Refusal read_request(JsonTree::Value body, Conversation& into) const = 0;
  // Appends the body of a request. 400: it cannot be said here. `dropped` gets what is left out and may be.
  [[nodiscard]] virtual Refusal write_request(const Conversation& chat, const Recipient& recipient, std::string& out,
                                              std::vector<std::string>& dropped) const;

  // The answer to a request that asks for nothing (ChatRequest::empty).
  [[nodiscard]] virtual std::string nothing(const WriterSettings& settings) const;

  // For the events of one stream.
  [[nodiscard]] virtual std::unique_ptr<EventReader> reader() const;
  // What a client needs before an event that a reader saw, and the Backend left out. Mostly empty.
  [[nodiscard]] virtual std::string missing_before(const Chunk& chunk, const StreamFacts& facts) const;
  // A whole answer; its parts too, unless they are null.
  virtual Answer read_answer(std::string_view body, Parts* parts) const;

  [[nodiscard]] virtual std::unique_ptr<StreamWriter> writer(WriterSettings settings) const = 0;
  // For what writer() writes, and for a Backend's stream in this Format.
  [[nodiscard]] virtual std::unique_ptr<AnswerRules> rules() const = 0;

 private:
  Endpoint endpoint_;
  Framing framing_;
};

const Format& format_of(Endpoint endpoint);

}  // namespace spillway::api
