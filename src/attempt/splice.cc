#include "attempt/splice.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

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

std::size_t skip_space(std::string_view text, std::size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

std::size_t space_behind(std::string_view text) {
  std::size_t at = text.size();
  while (at > 0 && is_space(text[at - 1])) --at;
  return at;
}

// Whether `wanted` stands in `text` from `from` on, with each run of white space as good as any other.
struct Found {
  bool so_far = false;                       // as far as `text` goes
  std::size_t end = std::string_view::npos;  // all of it does: where it ends
};
Found find_folded(std::string_view text, std::size_t from, std::string_view wanted) {
  std::size_t at = from;
  for (std::size_t i = 0; i < wanted.size();) {
    if (at == text.size()) return {true};
    if (is_space(text[at]) != is_space(wanted[i])) return {};
    if (is_space(wanted[i])) {
      i = skip_space(wanted, i);
      at = skip_space(text, at);
    } else if (text[at++] != wanted[i++]) {
      return {};
    }
  }
  return {true, at};
}

// The length of the longest end of `text` that stands in it once more, perhaps overlapping; no more than `most`. By the
// Z-function (Gusfield, Algorithms on Strings, 1.3) of the text read backwards: linear, whatever it repeats.
std::size_t repeated_end(std::string_view text, std::size_t most) {
  const std::size_t size = text.size();
  const auto at = [&](std::size_t i) { return text[size - 1 - i]; };
  std::vector<std::uint32_t> same(size);
  std::size_t left = 0;
  std::size_t right = 0;
  std::uint32_t longest = 0;
  for (std::size_t i = 1; i < size && longest < most; ++i) {
    std::uint32_t length = i < right ? std::min(static_cast<std::uint32_t>(right - i), same[i - left]) : 0;
    while (i + length < size && at(length) == at(i + length)) ++length;
    same[i] = length;
    if (i + length > right) {
      left = i;
      right = i + length;
    }
    longest = std::max(longest, length);
  }
  return longest;
}

// "no, no, no, ": what does so may well do it once more.
bool repeats_itself(std::string_view text) { return 2 * repeated_end(text, text.size()) >= text.size(); }

}  // namespace

std::size_t count_characters(std::string_view text) {
  return static_cast<std::size_t>(std::ranges::count_if(text, [](char byte) { return !continues(byte); }));
}

std::size_t proving_end(std::string_view text) {
  std::string folded;
  folded.reserve(text.size());
  for (const char c : text) {
    if (!is_space(c)) {
      folded += c;
    } else if (folded.empty() || folded.back() != ' ') {
      folded += ' ';
    }
  }
  std::size_t needed = repeated_end(folded, kLongestProof) + 1;
  if (needed > folded.size() || needed > kLongestProof) return std::string_view::npos;
  std::size_t at = text.size();
  for (; needed > 0; --needed) at = is_space(text[at - 1]) ? space_behind(text.substr(0, at)) : at - 1;
  const std::size_t size = text.size() - at;
  return size <= kLongestProof ? size : std::string_view::npos;
}

std::string_view anchor_of(std::string_view sent) {
  constexpr std::size_t kCharacters = 40;
  const std::size_t proof = proving_end(sent);
  if (proof == std::string_view::npos || count_characters(sent) < kLeastOverlap) return {};
  std::size_t characters = 0;
  std::size_t at = sent.size();
  const auto goes_back = [&] { return characters < kCharacters || sent.size() - at < proof || is_space(sent[at]); };
  while (at > 0 && goes_back()) {
    do {
      --at;
    } while (at > 0 && continues(sent[at]));
    ++characters;
  }
  const std::string_view anchor = sent.substr(at);
  if (anchor.size() > kLongestAnchor || repeats_itself(anchor) || is_space(anchor.front())) return {};
  return anchor;
}

std::size_t safe_prefix(std::string_view sent) {
  const std::size_t proof = proving_end(sent);
  if (sent.empty() || proof == std::string_view::npos) return sent.empty() ? 0 : std::string_view::npos;
  std::size_t characters = 0;  // behind what proves something
  std::size_t all = 0;
  std::size_t at = sent.size();
  while (at > 0 && characters < kLookBack) {
    do {
      --at;
    } while (at > 0 && continues(sent[at]));
    ++all;
    if (sent.size() - at < proof) continue;
    ++characters;
    if (all >= kLeastOverlap && at > 0 && is_boundary(sent, at)) return at;
  }
  return at == 0 ? 0 : std::string_view::npos;
}

Splice::Splice(std::string prefix, std::string overlap, std::string before)
    : prefix_(std::move(prefix)), overlap_(std::move(overlap)), before_(std::move(before)) {
  if (space_behind(overlap_) == 0) behind_ = std::exchange(overlap_, {});
}

Splice Splice::exact(std::string behind) {
  Splice splice({}, {});
  splice.behind_ = std::move(behind);
  splice.exact_ = true;
  return splice;
}

Splice Splice::behind(std::string anchor) {
  Splice splice({}, {});
  const std::size_t end = space_behind(anchor);
  const std::size_t begin = std::min(skip_space(anchor, 0), end);
  splice.anchor_ = anchor.substr(begin, end - begin);
  splice.behind_ = anchor.substr(end);
  return splice;
}

Splice::Step Splice::feed(std::string_view text) {
  if (matched_) return {text.empty() ? Status::kHold : Status::kPass, std::string(text)};
  held_ += text;
  return decide(false);
}

Splice::Step Splice::end() { return matched_ ? Step{} : decide(true); }

Splice::Step Splice::look_for_anchor(bool at_end) {
  for (std::size_t from = 0; from < held_.size() && from <= kAnchorWithin; ++from) {
    const std::size_t end = find_folded(held_, from, anchor_).end;
    if (end == std::string::npos) continue;
    // The client has exactly this of the white space that follows: any other is another text.
    const std::string_view rest = std::string_view(held_).substr(end);
    const std::size_t both = std::min(rest.size(), behind_.size());
    if (rest.substr(0, both) != std::string_view(behind_).substr(0, both)) continue;
    if (both < behind_.size()) return {at_end ? Status::kMismatch : Status::kHold, {}};
    // Does it say the text again before it obeys, or does the text say it twice? Nobody can tell.
    const Found again = find_folded(rest, skip_space(rest, 0), anchor_);
    if (again.end != std::string::npos) return {Status::kMismatch, {}};
    if (again.so_far && !at_end) return {};
    return pass_from(end + both);
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

// Nothing is said again that would prove it, so it is only taken when it looks like none of the known ways not to go
// on: saying what it said when it was told less, beginning anew, saying the end of the prefix again. A text that
// repeats itself may look so too; what it says is not taken then, since a part of it would be lost or doubled.
Splice::Step Splice::take_unproved(bool at_end) {
  if (held_.empty()) return {};
  const std::size_t space = std::min(held_.size(), behind_.size());
  if (held_.compare(0, space, behind_, 0, space) != 0) return {Status::kMismatch, {}};
  const std::string_view held = std::string_view(held_).substr(space);
  if (held.empty()) return {at_end && space < behind_.size() ? Status::kMismatch : Status::kHold, {}};
  if (exact_) return pass_from(space);
  const std::string_view prefix = prefix_;
  if (const std::size_t same = common(held_, before_); same > kChance || (same > 0 && same == held_.size())) {
    if (same >= kAlike || same < held_.size() || at_end) return {Status::kMismatch, {}};
    return {};
  }
  if (prefix.size() <= kChance) return pass_from(space);
  const std::size_t same = common(held, prefix);
  if (same >= kEcho || same == prefix.size()) return {Status::kMismatch, {}};
  if (same == held.size() && !at_end) return {};
  for (std::size_t size = std::min(prefix.size() - 1, kTail); size > kChance; --size) {
    const std::string_view tail = prefix.substr(prefix.size() - size);
    const std::size_t again = common(held, tail);
    if (again < size && again == held.size() && !at_end) return {};
    if (again == size && count_characters(tail) > kChance) return {Status::kMismatch, {}};
  }
  return pass_from(space);
}

bool alike_but_for_white_space(std::string_view said, std::string_view wanted) {
  std::string squeezed[2];
  for (std::size_t i = 0; i < 2; ++i)
    std::ranges::copy_if(i == 0 ? said : wanted, std::back_inserter(squeezed[i]), [](char c) { return !is_space(c); });
  const std::size_t both = std::min(squeezed[0].size(), squeezed[1].size());
  return both >= std::min(kLeastOverlap, squeezed[1].size()) && common(squeezed[0], squeezed[1]) == both;
}

}  // namespace spillway::attempt
