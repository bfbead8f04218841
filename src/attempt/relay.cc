#include "attempt/relay.h"

namespace spillway::attempt {

namespace {

constexpr std::string_view kDoneEvent = "data: [DONE]\n\n";

}  // namespace

Relay::Relay(http::ClientConnection& upstream, http::ResponseWriter& client, Limits limits,
             std::function<void()> on_commit)
    : upstream_(upstream), client_(client), limits_(limits), on_commit_(std::move(on_commit)) {}

TimePoint Relay::wait_until() const {
  if (!committed_) return std::min(limits_.first_token_by, limits_.deadline.at());
  return limits_.deadline.capped(limits_.idle, last_token_at_);
}

Outcome Relay::failed(OutcomeClass cls, std::string detail) const {
  return Outcome{cls, upstream_.status(), std::move(detail)};
}

Task<Outcome> Relay::run(http::ClientStatus received) {
  http::ClientStatus status = received;
  for (;;) {
    std::size_t passed = 0;  // bytes of whole events at the front of the body
    Step step = Step::kGoOn;
    for (;;) {
      const std::string_view rest = upstream_.body().substr(passed);
      const std::size_t length = scanner_.next(rest);
      if (length == 0) {
        if (rest.size() > limits_.max_event) {
          outcome_ = failed(OutcomeClass::kGarbage, "an event is larger than limits.max_event");
          step = Step::kEnded;
        }
        break;
      }
      std::string_view event = rest.substr(0, length);
      // Left out, since an event may be added before this one.
      if (std::exchange(at_start_, false)) event = http::without_byte_order_mark(event);
      step = look(event);
      if (committed_ && !commit_now_ && insert_.empty()) {
        if (step == Step::kEnded && outcome_.cls != OutcomeClass::kAnswered) break;  // the event stays here
        passed += length;
        if (step == Step::kEnded) break;
        continue;
      }
      // What is left out or added lies between the events: these go out on their own.
      if (commit_now_) {
        commit_now_ = false;
        committed_ = true;
        on_commit_();
        held_ += event;
        if (!co_await flush(held_)) co_return failed(OutcomeClass::kAbandoned, "the client left");
        held_ = std::string();
      } else if (!insert_.empty()) {
        if (passed > 0 && !co_await flush(upstream_.body().substr(0, passed))) {
          co_return failed(OutcomeClass::kAbandoned, "the client left");
        }
        insert_ += upstream_.body().substr(passed, length);
        if (!co_await flush(insert_)) co_return failed(OutcomeClass::kAbandoned, "the client left");
        insert_.clear();
      }
      upstream_.consume_body(passed + length);
      passed = 0;
      if (step == Step::kEnded) break;
    }
    if (passed > 0) {
      if (!co_await flush(upstream_.body().substr(0, passed)))
        co_return failed(OutcomeClass::kAbandoned, "the client left");
      upstream_.consume_body(passed);
    }
    if (step == Step::kEnded) co_return outcome_;
    if (status != http::ClientStatus::kOk) co_return co_await end_of_input(status);
    status = co_await upstream_.receive(wait_until());
  }
}

Relay::Step Relay::look(std::string_view event) {
  const http::SseEvent fields = http::parse_sse_event(event, scratch_);
  if (!fields.has_data) return Step::kGoOn;  // a comment; passed on after the commit, dropped before
  const Chunk chunk = api::openai::read_chunk(fields.data, !identity_known_);
  switch (chunk.kind) {
    case Chunk::Kind::kError:
      outcome_ = failed(OutcomeClass::kServer, chunk.error_message.empty() ? "an error event" : chunk.error_message);
      return Step::kEnded;
    case Chunk::Kind::kGarbage:
      if (fields.data.empty()) return Step::kGoOn;
      outcome_ = failed(OutcomeClass::kGarbage,
                        fields.type == "error" ? "an error event" : "an event is not a chat completion chunk");
      return Step::kEnded;
    case Chunk::Kind::kChunk:
    case Chunk::Kind::kDone: break;
  }
  ++events_;
  if (chunk.kind == Chunk::Kind::kChunk && !identity_known_ && !chunk.id.empty()) {
    identity_ = chunk;
    identity_known_ = true;
  }
  role_seen_ |= chunk.role;
  finish_seen_ |= chunk.finish;
  token_in_batch_ |= chunk.token;
  if (!committed_) return look_before_commit(event, fields.data, chunk);
  if (chunk.kind != Chunk::Kind::kDone) return Step::kGoOn;
  done_seen_ = true;
  if (!finish_seen_) insert_ = api::openai::finish_event(identity_.id, identity_.model, identity_.created);
  outcome_ = failed(OutcomeClass::kAnswered, {});
  return Step::kEnded;
}

Relay::Step Relay::look_before_commit(std::string_view event, std::string_view, const Chunk& chunk) {
  if (chunk.token) {
    first_token_at_ = now();
    if (!role_seen_) held_.insert(0, api::openai::role_event(identity_));
    commit_now_ = true;
    return Step::kGoOn;
  }
  if (chunk.kind == Chunk::Kind::kDone) {
    outcome_ = failed(OutcomeClass::kEmpty, "the stream ended without content");
    return Step::kEnded;
  }
  if (held_.size() + event.size() > limits_.max_event) {
    outcome_ = failed(OutcomeClass::kGarbage, "too much before the first token");
    return Step::kEnded;
  }
  held_ += event;
  return Step::kGoOn;
}

// The upstream's silence counts from here: a client that was slow to take a token is not its fault.
Task<bool> Relay::flush(std::string_view events) {
  const bool sent = co_await client_.write_chunk(events);
  if (std::exchange(token_in_batch_, false)) last_token_at_ = now();
  co_return sent;
}

Task<Outcome> Relay::end_of_input(http::ClientStatus status) {
  const bool ended = status == http::ClientStatus::kComplete || status == http::ClientStatus::kClosed;
  if (status == http::ClientStatus::kAborted) co_return failed(OutcomeClass::kAbandoned, "the client left");
  if (ended && !upstream_.body().empty()) {
    // An event whose empty line never came. Only [DONE] can be taken for whole.
    const http::SseEvent last = http::parse_sse_event(upstream_.body(), scratch_);
    if (last.has_data && last.data == "[DONE]" && committed_) done_seen_ = true;
  }
  // With a finish_reason the answer is whole, whatever became of what should follow it.
  if (committed_ && (finish_seen_ || done_seen_) && !limits_.deadline.passed(now())) {
    std::string rest;
    if (!finish_seen_) rest = api::openai::finish_event(identity_.id, identity_.model, identity_.created);
    rest += kDoneEvent;
    if (!co_await flush(rest)) co_return failed(OutcomeClass::kAbandoned, "the client left");
    co_return failed(OutcomeClass::kAnswered, {});
  }
  if (status == http::ClientStatus::kTimeout) {
    const bool deadline = limits_.deadline.passed(now());
    Outcome late = failed(committed_ ? OutcomeClass::kStall : OutcomeClass::kFirstToken,
                          committed_ ? "no token for idle_timeout" : "no token within first_token_timeout");
    if (deadline) late = failed(OutcomeClass::kAbandoned, "the deadline passed");
    late.deadline = deadline;
    co_return late;
  }
  if (!committed_ && finish_seen_ && ended) co_return failed(OutcomeClass::kEmpty, "the stream ended without content");
  if (!committed_ && status == http::ClientStatus::kComplete) {
    co_return failed(OutcomeClass::kEmpty, "the stream ended before its first token");
  }
  if (status == http::ClientStatus::kGarbage) co_return failed(OutcomeClass::kGarbage, upstream_.failure());
  co_return failed(OutcomeClass::kCut, status == http::ClientStatus::kComplete
                                           ? "the stream ended without finish_reason"
                                           : upstream_.failure());
}

}  // namespace spillway::attempt
