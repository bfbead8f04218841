// What goes to the client of an Exchange: the one place that writes to it.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "api/error.h"
#include "api/openai/answer_assembler.h"
#include "attempt/leg.h"
#include "base/loop_timers.h"
#include "http/response_writer.h"

namespace spillway::attempt {

// One answer to one client, whatever Legs it came from. False from a function: the client is gone.
class Delivery {
 public:
  virtual ~Delivery() = default;

  // The next bytes of `leg`. The first call begins the response.
  virtual Task<bool> take(const Leg& leg, std::string_view bytes) = 0;
  // The answer is whole; `facts` tells what is missing at its end.
  virtual Task<bool> end(const StreamFacts& facts) = 0;
  // A part of the answer has come that is held back for now.
  virtual void hold() = 0;
  // Something of the answer has gone to the client: what follows has to go on from there.
  [[nodiscard]] virtual bool shown() const = 0;
  // Drops what was taken, before anything was shown: another answer follows.
  virtual void forget() = 0;
  // Something about the answer that is no part of it.
  virtual Task<bool> note(std::string_view json) = 0;
  // A refusal of the request itself by `leg`, passed through: as it came, or in-band where the response has begun.
  virtual Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) = 0;
  // A failure: with its status, or in-band. The stream then ends without [DONE].
  virtual Task<> fail(const api::ApiError& error) = 0;
};

// Writes to an HTTP client in the Dialect openai.
class ClientDelivery : public Delivery {
 public:
  // `add_fields` adds Spillway's own header fields to the response, right before it begins.
  ClientDelivery(http::ResponseWriter& client, std::function<void()> add_fields)
      : client_(client), add_fields_(std::move(add_fields)) {}

  Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) override;
  Task<> fail(const api::ApiError& error) override;

 protected:
  http::ResponseWriter& client_;
  std::function<void()> add_fields_;
};

// A stream with a finish_reason for each choice and one [DONE], each added where the upstream leaves it out. While
// nothing is written, comments keep whoever is between us and the client from taking the connection for dead.
class StreamDelivery final : public ClientDelivery {
 public:
  static constexpr seconds kKeepAliveAfter{15};  // before the answer begins: the header and a comment, and again
  static constexpr seconds kKeepAliveHeld{5};    // while a part of it is held

  StreamDelivery(http::ResponseWriter& client, std::function<void()> add_fields, LoopTimers& timers,
                 TimePoint began_at);
  Task<bool> refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) override;
  Task<> fail(const api::ApiError& error) override;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> end(const StreamFacts& facts) override;
  Task<bool> note(std::string_view json) override;
  void hold() override;
  [[nodiscard]] bool shown() const override { return taken_; }
  void forget() override {}

 private:
  void begin(std::string_view upstream_fields);
  void keep_alive();

  LoopTimers::Entry keep_alive_timer_;
  bool taken_ = false;
  bool held_ = false;
};

// An answer in one piece; assembled where a Leg streams it.
class WholeDelivery final : public ClientDelivery {
 public:
  using ClientDelivery::ClientDelivery;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> end(const StreamFacts& facts) override;
  Task<bool> note(std::string_view json) override;
  void hold() override {}
  [[nodiscard]] bool shown() const override { return client_.begun(); }
  void forget() override;

 private:
  std::unique_ptr<api::openai::AnswerAssembler> assembler_;
  std::string fields_;  // of the upstream that gave the first token of what is assembled
};

}  // namespace spillway::attempt
