#include "attempt/continuation.h"

#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::attempt {

using api::Part;
using api::PartKind;

Continuation::Continuation(const api::Format& format, Splice splice, std::uint64_t tokens_before)
    : format_(format),
      splice_(std::move(splice)),
      tokens_before_(tokens_before),
      reader_(format.part_reader()),
      scanner_(format.framing()) {}

void Continuation::add(Step& step, Splice::Step spliced) {
  step.mismatch |= spliced.status == Splice::Status::kMismatch;
  if (step.mismatch || spliced.text.empty()) return;
  passed_ += spliced.text;
  std::string quoted;
  json::append_string(quoted, spliced.text);
  step.parts.push_back({.kind = PartKind::kText, .text = quoted.substr(1, quoted.size() - 2)});
}

Continuation::Step Continuation::feed(std::string_view events) {
  Step step;
  while (const std::size_t length = scanner_.next(events)) {
    const http::SseEvent event = scanner_.parse(events.substr(0, length), scratch_);
    events.remove_prefix(length);
    if (!event.has_data) continue;
    padded_.assign(event.data).append(ByteBuffer::kPadding, '\0');
    const std::string_view data = std::string_view(padded_).substr(0, event.data.size());
    const std::size_t text_before = facts_.text.size();
    if (format_.read_event(event.type, data, facts_).kind != api::Chunk::Kind::kChunk) continue;
    if (facts_.text.size() > text_before) add(step, splice_.feed(std::string_view(facts_.text).substr(text_before)));
    add_others(step, event.type, data);
    if (step.mismatch) return step;
  }
  return step;
}

// What an event says beside its text: that went through the Splice.
void Continuation::add_others(Step& step, std::string_view type, std::string_view data) {
  api::Parts parts;
  reader_->read(type, data, parts);
  api::Parts& out = facts_.calls ? step.calls : step.parts;
  for (Part& part : parts) {
    switch (part.kind) {
      case PartKind::kCall:
      case PartKind::kArguments:
      case PartKind::kFinish:
        add(step, splice_.end());
        if (step.mismatch) return;
        out.push_back(std::move(part));
        break;
      case PartKind::kUsage:
        if (part.usage.output >= 0) part.usage.output += static_cast<std::int64_t>(tokens_before_);
        out.push_back(std::move(part));
        break;
      case PartKind::kText:
        if (facts_.calls) out.push_back(std::move(part));  // behind a tool call it is nothing that was said before
        break;
      default: break;  // it has an identity already; reasoning is not gone on with
    }
  }
}

Continuation::Step Continuation::end() {
  Step step;
  add(step, splice_.end());
  return step;
}

}  // namespace spillway::attempt
