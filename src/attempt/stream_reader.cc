#include "attempt/stream_reader.h"

namespace spillway::attempt {

StreamReader::StreamReader(http::ClientConnection& upstream, Limits limits, http::ClientStatus received)
    : upstream_(upstream), limits_(limits), received_(received) {}

TimePoint StreamReader::wait_until() const {
  if (!open_) return std::min(limits_.first_token_by, limits_.deadline.at());
  return limits_.deadline.capped(limits_.idle, last_token_at_);
}

Outcome StreamReader::ended(OutcomeClass cls, std::string detail) const {
  return Outcome{cls, upstream_.status(), std::move(detail)};
}

Task<Outcome> StreamReader::open() {
  for (;;) {
    Seen seen = Seen::kNoise;
    while (const std::size_t length = look(0, seen)) {
      upstream_.consume_body(length);
      if (seen == Seen::kEnd) co_return *end_;
      if (seen != Seen::kToken) continue;
      open_ = true;
      first_token_at_ = now();
      co_return ended(OutcomeClass::kAnswered, {});
    }
    if (seen == Seen::kEnd) co_return *end_;
    if (received_ != http::ClientStatus::kOk) co_return end_of_input();
    received_ = co_await upstream_.receive(wait_until());
  }
}

Task<Pull> StreamReader::next() {
  // The client has taken what was given last. The upstream's silence counts from here: that the client was slow is not
  // its fault.
  if (std::exchange(token_in_batch_, false)) last_token_at_ = now();
  if (!std::exchange(held_given_, true)) {
    token_in_batch_ = true;
    co_return Pull{held_, std::nullopt};
  }
  held_ = std::string();
  upstream_.consume_body(std::exchange(given_, 0));
  for (;;) {
    Seen seen = Seen::kNoise;
    std::size_t passed = 0;
    while (const std::size_t length = look(passed, seen)) {
      if (seen == Seen::kEnd) break;  // the event that ends it stays here
      token_in_batch_ |= seen == Seen::kToken;
      passed += length;
    }
    given_ = passed;
    if (passed > 0 || end_) co_return Pull{upstream_.body().substr(0, passed), end_};
    if (received_ != http::ClientStatus::kOk) co_return Pull{{}, end_of_input()};
    received_ = co_await upstream_.receive(wait_until());
  }
}

std::size_t StreamReader::look(std::size_t offset, Seen& seen) {
  const std::string_view rest = upstream_.body().substr(offset);
  const std::size_t length = scanner_.next(rest);
  if (length == 0) {
    if (rest.size() > limits_.max_event) {
      end_ = ended(OutcomeClass::kGarbage, "an event is larger than limits.max_event");
      seen = Seen::kEnd;
    }
    return 0;
  }
  std::string_view event = rest.substr(0, length);
  if (std::exchange(at_start_, false)) event = http::without_byte_order_mark(event);  // one may be put before it
  seen = look_at(event);
  if (open_ || seen == Seen::kEnd || seen == Seen::kNoise) return length;  // noise is dropped before the first token
  if (held_.size() + event.size() > limits_.max_event && seen != Seen::kToken) {
    end_ = ended(OutcomeClass::kGarbage, "too much before the first token");
    seen = Seen::kEnd;
    return length;
  }
  held_ += event;
  return length;
}

StreamReader::Seen StreamReader::look_at(std::string_view event) {
  const http::SseEvent fields = http::parse_sse_event(event, scratch_);
  if (!fields.has_data) return Seen::kNoise;  // a comment
  const Chunk chunk = api::openai::read_chunk(fields.data, facts_.identity.id.empty());
  switch (chunk.kind) {
    case Chunk::Kind::kError:
      end_ = ended(OutcomeClass::kServer, chunk.error_message.empty() ? "an error event" : chunk.error_message);
      return Seen::kEnd;
    case Chunk::Kind::kGarbage:
      if (fields.data.empty()) return Seen::kNoise;
      end_ = ended(OutcomeClass::kGarbage,
                   fields.type == "error" ? "an error event" : "an event is not a chat completion chunk");
      return Seen::kEnd;
    case Chunk::Kind::kDone:
      ++events_;
      done_ = true;
      end_ =
          open_ ? ended(OutcomeClass::kAnswered, {}) : ended(OutcomeClass::kEmpty, "the stream ended without content");
      return Seen::kEnd;
    case Chunk::Kind::kChunk: break;
  }
  ++events_;
  if (facts_.identity.id.empty() && !chunk.id.empty()) facts_.identity = chunk;
  facts_.role |= chunk.role;
  facts_.finish |= chunk.finish;
  return chunk.token ? Seen::kToken : Seen::kChunk;
}

Outcome StreamReader::end_of_input() {
  const http::ClientStatus status = received_;
  const bool over = status == http::ClientStatus::kComplete || status == http::ClientStatus::kClosed;
  if (status == http::ClientStatus::kAborted) return ended(OutcomeClass::kAbandoned, "the client left");
  if (over && open_ && !upstream_.body().empty()) {
    // An event whose empty line never came. Only [DONE] can be taken for whole.
    const http::SseEvent last = http::parse_sse_event(upstream_.body(), scratch_);
    done_ |= last.has_data && last.data == "[DONE]";
  }
  const bool late = limits_.deadline.passed(now());
  // With a finish_reason the answer is whole, whatever became of what should follow it.
  if (open_ && (facts_.finish || done_) && !late) return ended(OutcomeClass::kAnswered, {});
  if (status == http::ClientStatus::kTimeout) {
    if (late) {
      Outcome outcome = ended(OutcomeClass::kAbandoned, "the deadline passed");
      outcome.deadline = true;
      return outcome;
    }
    return open_ ? ended(OutcomeClass::kStall, "no token for idle_timeout")
                 : ended(OutcomeClass::kFirstToken, "no token within first_token_timeout");
  }
  if (!open_ && facts_.finish && over) return ended(OutcomeClass::kEmpty, "the stream ended without content");
  if (!open_ && status == http::ClientStatus::kComplete)
    return ended(OutcomeClass::kEmpty, "the stream ended before its first token");
  if (status == http::ClientStatus::kGarbage) return ended(OutcomeClass::kGarbage, upstream_.failure());
  return ended(OutcomeClass::kCut, status == http::ClientStatus::kComplete ? "the stream ended without finish_reason"
                                                                           : upstream_.failure());
}

}  // namespace spillway::attempt
