// What goes to the client of an Exchange: the one place that writes to it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "api/format.h"
#include "attempt/events.h"
#include "attempt/leg.h"
#include "base/loop_timers.h"
#include "http/response_writer.h"

namespace spillway::attempt {

// One answer to one client, whatever Legs it came from. False from a function: the client is gone.
class Delivery {
 public:
  virtual ~Delivery() = default;

  // The next bytes of `leg`, in its Format. The first call begins the response.
  virtual Task<bool> take(const Leg& leg, std::string_view bytes) = 0;
  // The next parts of an answer that `leg` goes on with; `first` tells of the stream that it began in.
  virtual Task<bool> take_parts(const Leg& leg, const StreamFacts& first, const api::Parts& parts) = 0;
  // The answer is whole; `leg` gave its end.
  virtual Task<bool> end(const Leg& leg) = 0;
  // A part of the answer has come that is held back for now.
  virtual void hold() = 0;
  // Something of the answer has gone to the client: what follows has to go on from there.
  [[nodiscard]] virtual bool shown() const = 0;
  // It holds more of an answer than it may: nothing more is taken.
  [[nodiscard]] virtual bool full() const { return false; }
  // Drops what was taken, before anything was shown: another answer follows.
  virtual void forget() = 0;
  // Something about the answer that is no part of it.
  virtual Task<bool> note(std::string_view json) = 0;
  // A refusal of the request itself by `leg`, passed through: as it came, or in-band where the response has begun.
  virtual Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) = 0;
  // A failure: with its status, or in-band. The stream then ends without the mark of its end.
  virtual Task<> fail(const api::ApiError& error) = 0;
};

// How the response to a client is written.
struct Reply {
  http::ResponseWriter& client;
  const api::Format& format;                      // that the client speaks
  std::function<void()> add_fields;               // adds Spillway's own header fields, right before the response begins
  std::function<api::WriterSettings()> settings;  // asked for when something is written anew
  std::uint64_t max_answer = 64u << 20;           // bytes of one that is put together
};

// Writes to an HTTP client. What comes in the client's own Format goes on as it came; all else is taken apart and
// written anew.
class ClientDelivery : public Delivery {
 public:
  explicit ClientDelivery(Reply reply) : reply_(std::move(reply)), client_(reply_.client) {}

  Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) override;
  Task<> fail(const api::ApiError& error) override;

 protected:
  [[nodiscard]] bool speaks_alike(const Leg& leg) const { return &leg.format() == &reply_.format; }
  api::StreamWriter& writer();
  // `events` of `leg` in the client's Format; valid until the next call.
  std::string_view translated(const Leg& leg, std::string_view events);
  std::string_view written(const StreamFacts& first, const api::Parts& parts);
  // What the client's stream lacks at its end.
  std::string_view last_words(const Leg& leg);
  void forget_writer();
  [[nodiscard]] std::size_t held_by_writer() const { return writer_ ? writer_->held() : 0; }

  Reply reply_;
  http::ResponseWriter& client_;
  bool passed_on_ = false;  // the latest events went on as they came
  std::string scratch_;

 private:
  std::unique_ptr<api::StreamWriter> writer_;
  const Leg* reads_ = nullptr;  // reader_ is for its events
  std::unique_ptr<api::EventReader> reader_;
  StreamFacts read_;  // by it
  std::string out_;
  api::Parts parts_;
};

// A stream with one end, each part of it added where the upstream leaves it out. While nothing is written, comments
// keep whoever is between us and the client from taking the connection for dead.
class StreamDelivery final : public ClientDelivery {
 public:
  static constexpr seconds kKeepAliveAfter{15};  // before the answer begins: the header and a comment, and again
  static constexpr seconds kKeepAliveHeld{5};    // while a part of it is held

  StreamDelivery(Reply reply, LoopTimers& timers, TimePoint began_at);
  Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) override;
  Task<> fail(const api::ApiError& error) override;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> take_parts(const Leg& leg, const StreamFacts& first, const api::Parts& parts) override;
  Task<bool> end(const Leg& leg) override;
  Task<bool> note(std::string_view json) override;
  void hold() override;
  [[nodiscard]] bool shown() const override { return taken_; }
  [[nodiscard]] bool full() const override { return held_by_writer() > reply_.max_answer; }
  void forget() override {}

 private:
  void begin(std::string_view upstream_fields);
  void begin_answer(const Leg& leg);
  void keep_alive();

  LoopTimers::Entry keep_alive_timer_;
  bool taken_ = false;
  bool held_ = false;
};

// An answer in one piece; assembled where a Leg streams it, or speaks another Dialect.
class WholeDelivery final : public ClientDelivery {
 public:
  using ClientDelivery::ClientDelivery;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> take_parts(const Leg& leg, const StreamFacts& first, const api::Parts& parts) override;
  Task<bool> end(const Leg& leg) override;
  Task<bool> note(std::string_view json) override;
  void hold() override {}
  [[nodiscard]] bool shown() const override { return client_.begun(); }
  [[nodiscard]] bool full() const override {
    return held_by_writer() + (assembler_ ? assembler_->size() : 0) > reply_.max_answer;
  }
  void forget() override;

 private:
  void feed(const Leg& leg, std::string_view events);

  std::optional<api::Assembler> assembler_;
  std::string fields_;  // of the upstream that gave the first token of what is assembled
};

}  // namespace spillway::attempt
