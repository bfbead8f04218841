#include "attempt/delivery.h"

namespace spillway::attempt {

Task<bool> ClientDelivery::refuse(const Leg& leg, std::string_view body, const api::ApiError& in_band) {
  if (client_.begun()) {
    co_await fail(in_band);
    co_return !client_.failed();
  }
  reply_.add_fields();
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
    std::string event;
    writer().fail(event, error);
    co_await client_.end_stream(event);
    co_return;
  }
  reply_.add_fields();
  if (error.retry_after) client_.add_header("Retry-After", std::to_string(error.retry_after->count()));
  const std::string body = api::render_error(reply_.format.dialect(), error);
  co_await client_.send(error.status, "application/json", body);
}

api::StreamWriter& ClientDelivery::writer() {
  if (!writer_) writer_ = reply_.format.writer(reply_.settings());
  return *writer_;
}

std::string_view ClientDelivery::translated(const Leg& leg, std::string_view events) {
  const api::Format& format = leg.format();
  if (std::exchange(reads_, &leg) != &leg) {
    reader_ = format.reader();
    read_ = {};
    read_.keeps_text = false;
  }
  out_.clear();
  parts_.clear();
  if (!leg.streams()) {
    format.read_answer(events, &parts_);
  } else {
    for_each_event(format.framing(), events, scratch_,
                   [&](const http::SseEvent& event) { reader_->read(event.type, event.data, read_, &parts_); });
  }
  for (const api::Part& part : parts_) writer().append(out_, part);
  return out_;
}

std::string_view ClientDelivery::written(const StreamFacts& first, const api::Parts& parts) {
  if (std::exchange(passed_on_, false)) writer().go_on_from(first);
  out_.clear();
  for (const api::Part& part : parts) writer().append(out_, part);
  return out_;
}

std::string_view ClientDelivery::last_words(const Leg& leg) {
  if (std::exchange(passed_on_, false)) writer().go_on_from(leg.facts());
  out_.clear();
  writer().end(out_);
  return out_;
}

void ClientDelivery::forget_writer() {
  writer_.reset();
  passed_on_ = false;
  reads_ = nullptr;
}

StreamDelivery::StreamDelivery(Reply reply, LoopTimers& timers, TimePoint began_at)
    : ClientDelivery(std::move(reply)), keep_alive_timer_(timers, [this] { keep_alive(); }) {
  keep_alive_timer_.arm(began_at + kKeepAliveAfter);
}

void StreamDelivery::begin(std::string_view upstream_fields) {
  if (client_.begun()) return;
  reply_.add_fields();
  client_.add_rendered(upstream_fields);
  client_.begin_stream(200, reply_.format.content_type());
}

void StreamDelivery::keep_alive() {
  begin({});
  client_.poke(writer().keep_alive());
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

void StreamDelivery::begin_answer(const Leg& leg) {
  if (std::exchange(taken_, true) && !held_) return;
  keep_alive_timer_.disarm();
  held_ = false;
  begin(leg.fields());
}

namespace {

Task<bool> ready(bool value) { co_return value; }

}  // namespace

// No coroutine of its own: this is the path of a token.
Task<bool> StreamDelivery::take(const Leg& leg, std::string_view bytes) {
  begin_answer(leg);
  if (speaks_alike(leg)) {
    passed_on_ = true;
    return client_.write_chunk(bytes);
  }
  const std::string_view events = translated(leg, bytes);
  return events.empty() ? ready(true) : client_.write_chunk(events);
}

Task<bool> StreamDelivery::take_parts(const Leg& leg, const StreamFacts& first, const api::Parts& parts) {
  begin_answer(leg);
  const std::string_view events = written(first, parts);
  return events.empty() ? ready(true) : client_.write_chunk(events);
}

// As a comment, which SDKs skip.
Task<bool> StreamDelivery::note(std::string_view json) {
  const std::string comment = writer().note(json);
  if (comment.empty()) co_return true;
  co_return co_await client_.write_chunk(comment);
}

Task<bool> StreamDelivery::end(const Leg& leg) {
  keep_alive_timer_.disarm();
  return client_.end_stream(last_words(leg));
}

void WholeDelivery::feed(const Leg& leg, std::string_view events) {
  if (!assembler_) {
    assembler_.emplace(reply_.format.rules());
    fields_ = leg.fields();
  }
  for_each_event(reply_.format.framing(), events, scratch_,
                 [this](const http::SseEvent& event) { assembler_->add(event.data); });
}

Task<bool> WholeDelivery::take(const Leg& leg, std::string_view bytes) {
  if (leg.streams() || !speaks_alike(leg)) {
    passed_on_ = speaks_alike(leg);
    feed(leg, passed_on_ ? bytes : translated(leg, bytes));
    return ready(true);
  }
  reply_.add_fields();
  client_.add_rendered(leg.fields());
  return client_.send(200, leg.content_type(), bytes);
}

Task<bool> WholeDelivery::take_parts(const Leg& leg, const StreamFacts& first, const api::Parts& parts) {
  feed(leg, written(first, parts));
  return ready(true);
}

Task<bool> WholeDelivery::end(const Leg& leg) {
  if (!assembler_) co_return !client_.failed();
  feed(leg, last_words(leg));
  reply_.add_fields();
  client_.add_rendered(fields_);
  const std::string body = assembler_->answer();
  co_return co_await client_.send(200, "application/json", body);
}

Task<bool> WholeDelivery::note(std::string_view) { co_return !client_.failed(); }

void WholeDelivery::forget() {
  assembler_.reset();
  forget_writer();
}

}  // namespace spillway::attempt
