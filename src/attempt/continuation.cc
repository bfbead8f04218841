#include "attempt/continuation.h"

#include <algorithm>

#include "base/json_text.h"

namespace spillway::attempt {

using api::Part;
using api::PartKind;

Continuation::Continuation(const api::Format& format, Splice splice, std::uint64_t tokens_before,
                           std::uint64_t tokens_told)
    : format_(format),
      splice_(std::move(splice)),
      tokens_before_(tokens_before),
      tokens_told_(tokens_told),
      reader_(format.reader()) {}

void Continuation::add(Step& step, Splice::Step spliced) {
  step.mismatch |= spliced.status == Splice::Status::kMismatch;
  if (step.mismatch || spliced.text.empty()) return;
  if (passed_.empty()) {
    dropped_ = facts_.text.size() - spliced.text.size();
    tokens_dropped_ =
        static_cast<std::uint64_t>(std::ranges::upper_bound(facts_.token_ends, dropped_) - facts_.token_ends.begin());
  }
  passed_ += spliced.text;
  std::string quoted;
  json::append_string(quoted, spliced.text);
  step.parts.push_back({.kind = PartKind::kText, .text = quoted.substr(1, quoted.size() - 2)});
}

Continuation::Step Continuation::feed(std::string_view events) {
  Step step;
  for_each_event(format_.framing(), events, scratch_, [&](const http::SseEvent& event) {
    api::Parts parts;
    const std::size_t text_before = facts_.text.size();
    if (step.mismatch || reader_->read(event.type, event.data, facts_, &parts).kind != api::Chunk::Kind::kChunk) return;
    if (facts_.text.size() > text_before) add(step, splice_.feed(std::string_view(facts_.text).substr(text_before)));
    if (!step.mismatch) add_others(step, std::move(parts));
  });
  return step;
}

// What an event says beside its text: that went through the Splice.
void Continuation::add_others(Step& step, api::Parts parts) {
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
        adapt(part.usage);
        out.push_back(std::move(part));
        break;
      case PartKind::kText:
        if (facts_.calls) out.push_back(std::move(part));  // behind a tool call it is nothing that was said before
        break;
      default: break;  // it has an identity already; reasoning is not gone on with
    }
  }
}

// What its Backend counts is the answer to a longer question, and has in it what the client had already.
void Continuation::adapt(api::Usage& usage) const {
  const auto less = [](std::int64_t count, std::uint64_t by) {
    return std::max<std::int64_t>(count - static_cast<std::int64_t>(by), 0);
  };
  if (usage.output >= 0) {
    const std::uint64_t dropped = passed_.empty() ? facts_.tokens : tokens_dropped_;
    usage.output = less(usage.output, dropped) + static_cast<std::int64_t>(tokens_before_);
  }
  if (usage.input >= 0) usage.input = less(usage.input, tokens_told_);
  usage.reasoning = -1;  // none of it is gone on with
}

void Continuation::add_tokens(std::size_t size, std::uint64_t& tokens, std::vector<std::uint32_t>& token_ends) const {
  if (passed_.empty()) return;
  tokens += facts_.tokens - tokens_dropped_;
  for (std::size_t i = tokens_dropped_; i < facts_.token_ends.size(); ++i)
    token_ends.push_back(static_cast<std::uint32_t>(size + facts_.token_ends[i] - dropped_));
}

Continuation::Step Continuation::end() {
  Step step;
  add(step, splice_.end());
  return step;
}

}  // namespace spillway::attempt
