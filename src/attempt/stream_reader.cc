#include "attempt/stream_reader.h"

#include "attempt/error_class.h"

namespace spillway::attempt {

using http::without_byte_order_mark;

StreamReader::StreamReader(const api::Format& format, http::ClientConnection& upstream, Limits limits,
                           http::ClientStatus received)
    : format_(format),
      reader_(format.reader()),
      upstream_(upstream),
      limits_(limits),
      received_(received),
      scanner_(format.framing()) {}

TimePoint StreamReader::wait_until() const {
  if (!open_) return std::min(limits_.first_token_by, limits_.deadline.at());
  return std::min(limits_.deadline.capped(limits_.idle, last_token_at_), limits_.pace.too_slow_at());
}

Outcome StreamReader::ended(OutcomeClass cls, std::string detail) const {
  return Outcome{cls, upstream_.status(), std::move(detail)};
}

Task<Outcome> StreamReader::open() {
  for (;;) {
    Seen seen = Seen::kNoise;
    for (bool first = at_start_; const std::size_t length = look(0, seen); first = false) {
      if (seen == Seen::kChunk || seen == Seen::kToken) {
        const std::string_view event = upstream_.body().substr(0, length);
        held_ += !instead_.empty() ? instead_ : first ? without_byte_order_mark(event) : event;
        if (held_.size() > limits_.max_event && seen != Seen::kToken)
          seen = failed(OutcomeClass::kGarbage, "too much before the first token");
      }
      upstream_.consume_body(length);
      if (seen == Seen::kToken || seen == Seen::kEnd) break;
    }
    open_ = seen == Seen::kToken || (end_ && end_->cls == OutcomeClass::kAnswered);
    if (open_) {
      first_token_at_ = now();
      if (limits_.pace.watched()) limits_.pace.begin(first_token_at_);
      co_return ended(OutcomeClass::kAnswered, {});
    }
    if (end_) co_return *end_;
    if (received_ != http::ClientStatus::kOk) co_return *end_of_input().end;
    received_ = co_await upstream_.receive(wait_until());
  }
}

Task<Pull> StreamReader::next() {
  // The client has taken what was given last. The upstream's silence counts from here: that the client was slow is not
  // its fault.
  if (std::exchange(token_in_batch_, false)) {
    last_token_at_ = now();
    if (limits_.pace.watched()) limits_.pace.pause(last_token_at_ - gave_at_);
  }
  if (!std::exchange(held_given_, true)) {
    token_in_batch_ = true;
    gave_at_ = now();
    instead_.clear();
    co_return Pull{held_, end(), calls()};
  }
  held_ = std::string();
  upstream_.consume_body(std::exchange(given_, 0));
  for (;;) {
    if (!instead_.empty()) {
      given_instead_ = std::exchange(instead_, {});
      co_return Pull{given_instead_, nullptr, calls()};
    }
    Seen seen = Seen::kNoise;
    std::size_t passed = 0;
    const bool had_calls = facts_.calls;
    while (const std::size_t length = look(passed, seen)) {
      if (seen == Seen::kEnd) break;
      if (seen == Seen::kToken) note_token();
      given_ = passed + length;
      // The first tool call begins a batch of its own: it may have to be held back.
      if (facts_.calls && !had_calls && instead_.empty()) instead_ = upstream_.body().substr(passed, length);
      if (seen == Seen::kNoise || !instead_.empty()) break;  // what came before it goes first
      passed += length;
    }
    if (passed > 0 || end_) co_return Pull{upstream_.body().substr(0, passed), end(), had_calls && calls()};
    if (given_ > 0) {
      upstream_.consume_body(std::exchange(given_, 0));
      continue;
    }
    if (received_ != http::ClientStatus::kOk) co_return end_of_input();
    received_ = co_await upstream_.receive(wait_until());
  }
}

void StreamReader::note_token() {
  token_in_batch_ = true;
  if (!limits_.pace.watched()) return;
  gave_at_ = now();
  limits_.pace.token(gave_at_);
}

std::size_t StreamReader::look(std::size_t offset, Seen& seen) {
  // The line that finishes an answer is the last.
  if (format_.framing() == api::Framing::kNdjson && facts_.finished()) {
    seen = failed(OutcomeClass::kAnswered, {});
    return 0;
  }
  const std::string_view rest = upstream_.body().substr(offset);
  const std::size_t length = scanner_.next(rest);
  if (length == 0) {
    if (rest.size() > limits_.max_event)
      seen = failed(OutcomeClass::kGarbage, "an event is larger than limits.max_event");
    return 0;
  }
  instead_.clear();
  std::string_view event = rest.substr(0, length);
  if (std::exchange(at_start_, false)) event = without_byte_order_mark(event);
  seen = look_at(event);
  return length;
}

StreamReader::Seen StreamReader::failed(OutcomeClass cls, std::string detail) {
  end_ = ended(cls, std::move(detail));
  return Seen::kEnd;
}

StreamReader::Seen StreamReader::look_at(std::string_view event) {
  const http::SseEvent fields = scanner_.parse(event, scratch_);
  if (!fields.has_data) return Seen::kComment;
  if (fields.data.empty()) return Seen::kNoise;
  const bool is_error = fields.type == "error";
  const bool was_finished = facts_.finished();
  const Chunk chunk = reader_->read(fields.type, fields.data, facts_, nullptr);
  if (chunk.kind == Chunk::Kind::kChunk || chunk.kind == Chunk::Kind::kDone) ++events_;
  switch (chunk.kind) {
    case Chunk::Kind::kChunk:
      if (std::string missing = format_.missing_before(chunk, facts_); !missing.empty())
        instead_ = missing.append(event);
      return chunk.token || (facts_.finished() && facts_.counted) ? Seen::kToken : Seen::kChunk;
    case Chunk::Kind::kDone:
      return open_ || facts_.counted ? failed(OutcomeClass::kAnswered, {})
                                     : failed(OutcomeClass::kEmpty, "the stream ended without content");
    default: break;
  }
  // Once each choice is finished nothing can break the answer.
  if (was_finished) return Seen::kNoise;
  if (chunk.kind == Chunk::Kind::kError || is_error) {
    return failed(class_of_error(limits_.provider, 200, chunk.error),
                  chunk.error.message.empty() ? "an error event" : chunk.error.message);
  }
  if (chunk.kind == Chunk::Kind::kNoise) return Seen::kNoise;
  if (chunk.kind == Chunk::Kind::kSeveral) return look_at_several(fields.data);
  return failed(OutcomeClass::kGarbage, "an event is no part of an answer");
}

// Chunks that a server wrote as the lines of one event. An SDK would read them as one JSON text, and fail.
StreamReader::Seen StreamReader::look_at_several(std::string_view lines) {
  std::string apart;
  Seen seen = Seen::kChunk;
  for (std::string_view rest = lines; !rest.empty();) {
    const std::size_t end = std::min(rest.find('\n'), rest.size());
    const Chunk chunk = reader_->read({}, rest.substr(0, end), facts_, nullptr);
    if (chunk.kind != Chunk::Kind::kChunk)
      return failed(OutcomeClass::kGarbage, "an event holds more than one JSON text");
    ++events_;
    if (chunk.token) seen = Seen::kToken;
    apart.append("data: ").append(rest.substr(0, end)).append("\n\n");
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  instead_ = std::move(apart);
  return seen;
}

Pull StreamReader::end_with(Outcome outcome, std::string_view bytes) {
  end_ = std::move(outcome);
  return {bytes, end(), calls()};
}

Pull StreamReader::end_of_input() {
  const http::ClientStatus status = received_;
  const bool late = limits_.deadline.passed(now());
  const bool whole_body = status == http::ClientStatus::kComplete;
  if (status == http::ClientStatus::kAborted) return end_with(ended(OutcomeClass::kAbandoned, "the client left"));
  bool done = false;
  if (open_ && (whole_body || status == http::ClientStatus::kClosed) && !upstream_.body().empty()) {
    // An event whose empty line never came. Only what ends the answer can be taken for whole.
    const http::SseEvent last = scanner_.parse(upstream_.body(), scratch_);
    StreamFacts facts = facts_;
    const Chunk chunk = last.has_data ? reader_->read(last.type, last.data, facts, nullptr) : Chunk{};
    done = chunk.kind == Chunk::Kind::kDone;
    if (whole_body && chunk.kind == Chunk::Kind::kChunk && facts.finished()) {
      facts_ = std::move(facts);
      given_instead_ = scanner_.whole(last);
      if (!late) return end_with(ended(OutcomeClass::kAnswered, {}), given_instead_);
    }
  }
  // With its finish_reason the answer is whole, whatever became of what should follow it.
  if (open_ && (facts_.finished() || done) && !late) return end_with(ended(OutcomeClass::kAnswered, {}));
  if (status == http::ClientStatus::kTimeout) {
    if (late) {
      Outcome outcome = ended(OutcomeClass::kAbandoned, "the deadline passed");
      outcome.deadline = true;
      return end_with(std::move(outcome));
    }
    if (open_ && now() >= limits_.pace.too_slow_at())
      return end_with(ended(OutcomeClass::kSlow, "fewer tokens than min_tokens_per_second"));
    return end_with(open_ ? ended(OutcomeClass::kStall, "no token for idle_timeout")
                          : ended(OutcomeClass::kFirstToken, "no token within first_token_timeout"));
  }
  if (!open_ && facts_.finished()) return end_with(ended(OutcomeClass::kEmpty, "the stream ended without content"));
  if (!open_ && whole_body) return end_with(ended(OutcomeClass::kEmpty, "the stream ended before its first token"));
  if (status == http::ClientStatus::kGarbage) return end_with(ended(OutcomeClass::kGarbage, upstream_.failure()));
  return end_with(
      ended(OutcomeClass::kCut, whole_body ? "the stream ended without finish_reason" : upstream_.failure()));
}

}  // namespace spillway::attempt
