#include "attempt/continuation.h"

#include "base/byte_buffer.h"

namespace spillway::attempt {

Continuation::Continuation(const api::openai::StreamFacts& first, Splice splice, std::uint64_t tokens_before)
    : first_(first), splice_(std::move(splice)), tokens_before_(tokens_before) {}

void Continuation::add(Step& step, Splice::Step spliced) {
  step.mismatch |= spliced.status == Splice::Status::kMismatch;
  if (step.mismatch || spliced.text.empty()) return;
  passed_ += spliced.text;
  step.events += api::openai::text_event(first_, spliced.text);
}

Continuation::Step Continuation::feed(std::string_view events) {
  Step step;
  while (const std::size_t length = scanner_.next(events)) {
    const http::SseEvent event = http::parse_sse_event(events.substr(0, length), scratch_);
    events.remove_prefix(length);
    if (!event.has_data) continue;
    padded_.assign(event.data).append(ByteBuffer::kPadding, '\0');
    const auto read = api::openai::read_continued(std::string_view(padded_).substr(0, event.data.size()), facts_);
    if (read.chunk.kind != api::openai::Chunk::Kind::kChunk) continue;
    std::string& out = facts_.calls ? step.calls : step.events;
    if (!read.text.empty()) add(step, splice_.feed(read.text));
    if (!read.finish.empty() || !read.calls.empty()) add(step, splice_.end());
    if (step.mismatch) return step;
    if (!read.calls.empty()) out += api::openai::delta_event(first_, read.calls);
    if (!read.finish.empty()) {
      out += api::openai::finish_event(first_, read.finish);
    }
    if (read.chunk.usage) {
      out += api::openai::usage_event(first_, read.prompt_tokens,
                                      read.completion_tokens + static_cast<std::int64_t>(tokens_before_));
    }
  }
  return step;
}

Continuation::Step Continuation::end() {
  Step step;
  add(step, splice_.end());
  return step;
}

api::openai::StreamFacts Continuation::facts() const {
  api::openai::StreamFacts out = facts_;
  out.id = first_.id;
  out.model = first_.model;
  out.created = first_.created;
  return out;
}

}  // namespace spillway::attempt
