// What goes to the client of an Exchange: the one place that writes to it.
#pragma once

#include <functional>
#include <string>

#include "api/error.h"
#include "attempt/leg.h"
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

// A stream with a finish_reason for each choice and one [DONE], each added where the upstream leaves it out.
class StreamDelivery final : public ClientDelivery {
 public:
  using ClientDelivery::ClientDelivery;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> end(const StreamFacts& facts) override;
  Task<bool> note(std::string_view json) override;

  // Something for whoever is between us and the client, so that it does not take the connection for dead. False: there
  // is no more need, since the answer has begun.
  bool keep_alive();

 private:
  void begin(std::string_view upstream_fields);

  bool taken_ = false;
};

// An answer in one piece.
class WholeDelivery final : public ClientDelivery {
 public:
  using ClientDelivery::ClientDelivery;
  Task<bool> take(const Leg& leg, std::string_view bytes) override;
  Task<bool> end(const StreamFacts& facts) override;
  Task<bool> note(std::string_view json) override;
};

}  // namespace spillway::attempt
