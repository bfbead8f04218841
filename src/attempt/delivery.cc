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

StreamDelivery::StreamDelivery(http::ResponseWriter& client, std::function<void()> add_fields, LoopTimers& timers,
                               TimePoint began_at)
    : ClientDelivery(client, std::move(add_fields)), keep_alive_timer_(timers, [this] { keep_alive(); }) {
  keep_alive_timer_.arm(began_at + kKeepAliveAfter);
}

void StreamDelivery::begin(std::string_view upstream_fields) {
  if (client_.begun()) return;
  add_fields_();
  client_.add_rendered(upstream_fields);
  client_.begin_stream(200, "text/event-stream");
}

void StreamDelivery::keep_alive() {
  begin({});
  client_.poke(": keep-alive\n\n");
  keep_alive_timer_.arm(now() + (held_ ? seconds(kKeepAliveHeld) : seconds(kKeepAliveAfter)));
}

void StreamDelivery::hold() {
  if (std::exchange(held_, true)) return;
  keep_alive_timer_.arm(now() + kKeepAliveHeld);
}

Task<bool> StreamDelivery::refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) {
  keep_alive_timer_.disarm();
  return ClientDelivery::refuse(leg, body, in_band);
}

Task<> StreamDelivery::fail(const api::ApiError& error) {
  keep_alive_timer_.disarm();
  return ClientDelivery::fail(error);
}

// No coroutine of its own: this is the path of a token.
Task<bool> StreamDelivery::take(const Leg& leg, std::string_view bytes) {
  if (!std::exchange(taken_, true) || held_) {
    keep_alive_timer_.disarm();
    held_ = false;
    begin(leg.fields());
  }
  return client_.write_chunk(bytes);
}

// As a comment, which SDKs skip.
Task<bool> StreamDelivery::note(std::string_view json) {
  const std::string comment = ": spillway " + std::string(json) + "\n\n";
  co_return co_await client_.write_chunk(comment);
}

Task<bool> StreamDelivery::end(const StreamFacts& facts) {
  keep_alive_timer_.disarm();
  std::string last = api::openai::finish_events(facts);
  last += kDoneEvent;
  co_return co_await client_.end_stream(last);
}

Task<bool> WholeDelivery::take(const Leg& leg, std::string_view bytes) {
  if (leg.streams()) {
    if (!assembler_) {
      assembler_ = std::make_unique<api::openai::AnswerAssembler>();
      fields_ = leg.fields();
    }
    assembler_->feed(bytes);
    return [](bool taken) -> Task<bool> { co_return taken; }(true);
  }
  add_fields_();
  client_.add_rendered(leg.fields());
  return client_.send(200, leg.content_type(), bytes);
}

Task<bool> WholeDelivery::end(const StreamFacts& facts) {
  if (!assembler_) co_return !client_.failed();
  assembler_->feed(api::openai::finish_events(facts));
  add_fields_();
  client_.add_rendered(fields_);
  const std::string body = assembler_->answer();
  co_return co_await client_.send(200, "application/json", body);
}

Task<bool> WholeDelivery::note(std::string_view) { co_return !client_.failed(); }

void WholeDelivery::forget() { assembler_.reset(); }

}  // namespace spillway::attempt
