#include "attempt/delivery.h"

namespace spillway::attempt {

namespace {

constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

std::string in_band_event(const api::ApiError& error) {
  return "data: " + api::render_error(Dialect::kOpenAi, error) + "\n\n";
}

}  // namespace

Task<bool> ClientDelivery::refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) {
  if (client_.begun()) {
    co_await fail(in_band);
    co_return !client_.failed();
  }
  add_fields_();
  client_.add_rendered(leg.fields());
  co_return co_await client_.send(leg.status(), leg.content_type(), body);
}

Task<> ClientDelivery::fail(const api::ApiError& error) {
  if (client_.begun()) {
    if (client_.finished() || client_.failed()) co_return;
    if (!client_.streaming()) {
      client_.spoil();
      co_return;
    }
    const std::string event = in_band_event(error);
    co_await client_.end_stream(event);
    co_return;
  }
  add_fields_();
  if (error.retry_after) client_.add_header("Retry-After", std::to_string(error.retry_after->count()));
  const std::string body = api::render_error(Dialect::kOpenAi, error);
  co_await client_.send(error.status, "application/json", body);
}

void StreamDelivery::begin(std::string_view upstream_fields) {
  if (client_.begun()) return;
  add_fields_();
  client_.add_rendered(upstream_fields);
  client_.begin_stream(200, "text/event-stream");
}

// No coroutine of its own: this is the path of a token.
Task<bool> StreamDelivery::take(const Leg& leg, std::string_view bytes) {
  if (!std::exchange(taken_, true)) begin(leg.fields());
  return client_.write_chunk(bytes);
}

// As a comment, which SDKs skip.
Task<bool> StreamDelivery::note(std::string_view json) {
  const std::string comment = ": spillway " + std::string(json) + "\n\n";
  co_return co_await client_.write_chunk(comment);
}

Task<bool> StreamDelivery::end(const StreamFacts& facts) {
  std::string last = api::openai::finish_events(facts);
  last += kDoneEvent;
  co_return co_await client_.end_stream(last);
}

bool StreamDelivery::keep_alive() {
  if (taken_) return false;
  begin({});
  client_.poke(": keep-alive\n\n");
  return true;
}

Task<bool> WholeDelivery::take(const Leg& leg, std::string_view bytes) {
  add_fields_();
  client_.add_rendered(leg.fields());
  return client_.send(200, leg.content_type(), bytes);
}

Task<bool> WholeDelivery::end(const StreamFacts&) { co_return !client_.failed(); }

Task<bool> WholeDelivery::note(std::string_view) { co_return !client_.failed(); }

}  // namespace spillway::attempt
