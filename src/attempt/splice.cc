#include "attempt/splice.h"

#include <algorithm>
#include <cstdint>
#include <iterator>

namespace spillway::attempt {

namespace {

bool continues(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

bool is_space(char byte) { return byte == ' ' || byte == '\n' || byte == '\t' || byte == '\r'; }

// The code point that begins at `at`; well-formed UTF-8.
std::uint32_t code_point(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  if (lead < 0x80) return lead;
  std::uint32_t value = lead & (lead >= 0xF0 ? 0x07u : lead >= 0xE0 ? 0x0Fu : 0x1Fu);
  for (std::size_t i = at + 1; i < text.size() && continues(text[i]); ++i)
    value = (value << 6) | (static_cast<unsigned char>(text[i]) & 0x3Fu);
  return value;
}

// Scripts that are written without spaces, and whose characters stand for themselves: CJK ideographs and punctuation,
// kana (but its combining marks), Hangul syllables (Unicode 15, Blocks.txt).
bool is_cjk(std::uint32_t c) {
  if (c == 0x3099 || c == 0x309A) return false;
  return (c >= 0x2E80 && c <= 0x9FFF) || (c >= 0xAC00 && c <= 0xD7A3) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0xFF00 && c <= 0xFF60) || (c >= 0x20000 && c <= 0x3FFFF);
}

// May a text be cut before the character at `at`?
bool is_boundary(std::string_view text, std::size_t at) {
  if (is_space(text[at])) return at > 0 && !is_space(text[at - 1]);
  return is_cjk(code_point(text, at));
}

// Where `wanted` ends in `text` when it begins at `from`, with each run of white space as good as any other; npos: it
// does not stand there.
std::size_t end_of_folded(std::string_view text, std::size_t from, std::string_view wanted) {
  const auto skip = [](std::string_view in, std::size_t at) {
    while (at < in.size() && is_space(in[at])) ++at;
    return at;
  };
  std::size_t at = from;
  for (std::size_t i = 0; i < wanted.size();) {
    if (at == text.size() || is_space(text[at]) != is_space(wanted[i])) return std::string_view::npos;
    if (is_space(wanted[i])) {
      i = skip(wanted, i);
      at = skip(text, at);
    } else if (text[at++] != wanted[i++]) {
      return std::string_view::npos;
    }
  }
  return at;
}

// "no, no, no, ": what does so may well do it once more.
bool repeats_itself(std::string_view text) {
  for (std::size_t period = 1; 2 * period <= text.size(); ++period) {
    if (text.substr(period) == text.substr(0, text.size() - period)) return true;
  }
  return false;
}

}  // namespace

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char byte) { return !continues(byte); }));
}

std::string_view last_characters(std::string_view text, std::size_t count) {
  std::size_t at = text.size();
  for (; at > 0 && count > 0; --count) {
    do {
      --at;
    } while (at > 0 && continues(text[at]));
  }
  return text.substr(at);
}

std::size_t safe_prefix(std::string_view sent) {
  std::size_t characters = 0;
  std::size_t at = sent.size();
  while (at > 0 && characters < kLookBack) {
    do {
      --at;
    } while (at > 0 && continues(sent[at]));
    ++characters;
    if (characters >= kLeastOverlap && at > 0 && is_boundary(sent, at)) return at;
  }
  return at == 0 ? 0 : std::string_view::npos;
}

Splice::Step Splice::feed(std::string_view text) {
  if (matched_) return {text.empty() ? Status::kHold : Status::kPass, std::string(text)};
  held_ += text;
  return decide(false);
}

Splice::Step Splice::end() { return matched_ ? Step{} : decide(true); }

Splice::Step Splice::look_for_anchor(bool at_end) {
  for (std::size_t from = 0; from < held_.size() && from <= kAnchorWithin; ++from) {
    const std::size_t end = end_of_folded(held_, from, anchor_);
    if (end == std::string::npos) continue;
    // A text so short that all of it is the anchor comes twice from one that says the text again before it obeys.
    if (repeats_itself(anchor_)) return pass_from(end);
    const std::size_t again = end_of_folded(held_, end, anchor_);
    if (again != std::string::npos) return pass_from(again);
    if (!at_end && anchor_.starts_with(std::string_view(held_).substr(end))) return {};
    return pass_from(end);
  }
  const bool too_late = held_.size() > kAnchorWithin + 2 * anchor_.size();
  return {at_end || too_late ? Status::kMismatch : Status::kHold, {}};
}

namespace {

std::size_t common(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

}  // namespace

Splice::Step Splice::pass_from(std::size_t begin) {
  matched_ = true;
  std::string text = held_.substr(begin);
  held_ = std::string();
  return {text.empty() ? Status::kHold : Status::kPass, std::move(text)};
}

Splice::Step Splice::decide(bool at_end) {
  if (!anchor_.empty()) return look_for_anchor(at_end);
  return overlap_.empty() ? take_unproved(at_end) : match_overlap(at_end);
}

// It may say the end of the prefix again, or all of it, as long as the overlap follows: that is what proves it.
Splice::Step Splice::match_overlap(bool at_end) {
  const std::string_view held = held_;
  bool may_fit = false;
  const auto fits = [&](std::string_view repeated) {
    const std::size_t first = std::min(held.size(), repeated.size());
    if (held.substr(0, first) != repeated.substr(0, first)) return false;
    const std::string_view rest = held.substr(first);
    const std::size_t both = std::min(rest.size(), overlap_.size());
    if (rest.substr(0, both) != std::string_view(overlap_).substr(0, both)) return false;
    may_fit = true;
    return both == overlap_.size() && first == repeated.size();
  };
  const std::string_view prefix = prefix_;
  for (std::size_t size = 0; size <= std::min(prefix.size(), kTail); ++size) {
    if (fits(prefix.substr(prefix.size() - size))) return pass_from(size + overlap_.size());
  }
  if (fits(prefix)) return pass_from(prefix.size() + overlap_.size());
  // Some more of what does not fit is waited for: said() tells why.
  if ((may_fit || held_.size() < overlap_.size() + kEcho) && !at_end) return {};
  return {Status::kMismatch, {}};
}

// Nothing is said again that would prove it, so it is only taken when it looks like neither of the known ways not to go
// on: saying what it said when it was told less, beginning anew, saying the end of the prefix again.
Splice::Step Splice::take_unproved(bool at_end) {
  const std::string_view held = held_;
  const std::string_view prefix = prefix_;
  if (held.empty()) return {};
  if (const std::size_t same = common(held, before_); same > kChance || (same > 0 && same == held.size())) {
    if (same >= kAlike || same < held.size() || at_end) return {Status::kMismatch, {}};
    return {};
  }
  if (prefix.size() <= kChance) return pass_from(0);
  const std::size_t same = common(held, prefix);
  if (same == prefix.size()) return pass_from(same);
  if (same == held.size() && !at_end) return {};
  if (same >= kEcho) return {Status::kMismatch, {}};
  for (std::size_t size = std::min(prefix.size() - 1, kTail); size > kChance; --size) {
    const std::string_view tail = prefix.substr(prefix.size() - size);
    const std::size_t again = common(held, tail);
    if (again < size && again == held.size() && !at_end) return {};
    if (again < size || count_characters(tail) <= kChance) continue;
    if (size >= kEcho) return pass_from(size);
    // "----", "no, no, no, ": what repeats itself may do so once more.
    if (prefix.substr(0, prefix.size() - size).ends_with(tail)) break;
    return {Status::kMismatch, {}};
  }
  return pass_from(0);
}

bool alike_but_for_white_space(std::string_view a, std::string_view b) {
  std::string squeezed[2];
  for (std::size_t i = 0; i < 2; ++i)
    std::ranges::copy_if(i == 0 ? a : b, std::back_inserter(squeezed[i]), [](char c) { return !is_space(c); });
  const std::size_t both = std::min(squeezed[0].size(), squeezed[1].size());
  return both >= kLeastOverlap && common(squeezed[0], squeezed[1]) == both;
}

}  // namespace spillway::attempt
