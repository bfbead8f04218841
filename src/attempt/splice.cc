#include "attempt/splice.h"

#include <algorithm>
#include <cstdint>

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
    matched_ = true;
    std::string text = held_.substr(end);
    held_ = std::string();
    return {text.empty() ? Status::kHold : Status::kPass, std::move(text)};
  }
  const bool too_late = held_.size() > kAnchorWithin + 2 * anchor_.size();
  return {at_end || too_late ? Status::kMismatch : Status::kHold, {}};
}

Splice::Step Splice::decide(bool at_end) {
  if (!anchor_.empty()) return look_for_anchor(at_end);
  if (!echo_over_) {
    const std::size_t same = static_cast<std::size_t>(std::ranges::mismatch(held_, prefix_).in1 - held_.begin());
    const bool may_be_echo = prefix_.size() > kChance && same == std::min(held_.size(), prefix_.size());
    if (may_be_echo && held_.size() < prefix_.size() && !at_end) return {};
    if (may_be_echo && held_.size() >= prefix_.size()) {
      held_.erase(0, prefix_.size());
    } else if (prefix_.size() > kChance && same >= kEcho) {
      return {Status::kMismatch, {}};  // it began to repeat the prefix, and then said something else: it began anew
    }
    echo_over_ = true;
  }
  const std::size_t both = std::min(held_.size(), overlap_.size());
  if (std::string_view(held_).substr(0, both) != std::string_view(overlap_).substr(0, both))
    return {Status::kMismatch, {}};
  if (both < overlap_.size()) return at_end ? Step{Status::kMismatch, {}} : Step{};
  matched_ = true;
  std::string text = held_.substr(overlap_.size());
  held_ = std::string();
  return {text.empty() ? Status::kHold : Status::kPass, std::move(text)};
}

}  // namespace spillway::attempt
