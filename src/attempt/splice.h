// Going on with a text that a client already has a part of: where to cut it, and how to match what comes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::attempt {

// How many bytes of `sent` an upstream is told that it has said: back from the end over at least kLeastOverlap
// characters to a boundary (before white space, or before a CJK character), so that what it says again proves that it
// goes on from there and did not begin anew; and since a cut inside a word is tokenized otherwise than the whole word.
// 0: `sent` is too short for that. npos: there is no boundary within kLookBack characters.
std::size_t safe_prefix(std::string_view sent);

inline constexpr std::size_t kLeastOverlap = 8;  // characters
inline constexpr std::size_t kLookBack = 96;     // characters

// The last `count` characters of `text`.
std::string_view last_characters(std::string_view text, std::size_t count);

// Code points of a text in UTF-8.
std::size_t count_characters(std::string_view text);

// Do both begin alike, over at least kLeastOverlap bytes, but for their white space?
bool alike_but_for_white_space(std::string_view a, std::string_view b);

// Matches what an upstream says behind `prefix` against `overlap`, which the client has behind it too, and gives what
// is new. What it says again of the prefix, its end or all of it, is dropped where the overlap follows. Without an
// overlap all of the prefix is dropped, and an end of at least kEcho bytes; at most kChance of them may be text
// ("no, no, no"); anything between is no going on. Pure.
class Splice {
 public:
  static constexpr std::size_t kEcho = 24;   // bytes
  static constexpr std::size_t kChance = 5;  // bytes
  static constexpr std::size_t kTail = 96;   // bytes of the prefix that may be said again, when not all of it is
  static constexpr std::size_t kAlike = 16;  // bytes; two answers that begin alike so far are the same

  // `before`: what the same upstream said when it was told less, and was not taken; without an overlap it is not told
  // apart from going on by anything else.
  Splice(std::string prefix, std::string overlap, std::string before = {})
      : prefix_(std::move(prefix)), overlap_(std::move(overlap)), before_(std::move(before)) {}
  // For an upstream that was asked to repeat `anchor`, the end of what the client has, and to go on: what comes behind
  // it is new. White space counts alike wherever there is some; it may say kAnchorWithin bytes before it.
  static Splice behind(std::string anchor) {
    Splice splice({}, {});
    splice.anchor_ = std::move(anchor);
    return splice;
  }
  static constexpr std::size_t kAnchorWithin = 200;

  enum class Status {
    kHold,      // not decided: more has to come
    kPass,      // `text` is new
    kMismatch,  // it does not go on from what the client has
  };
  struct Step {
    Status status = Status::kHold;
    std::string text;
  };
  Step feed(std::string_view text);
  // Nothing more comes.
  Step end();
  // After kMismatch: the beginning of what it said.
  [[nodiscard]] const std::string& said() const { return held_; }

 private:
  Step decide(bool at_end);
  Step look_for_anchor(bool at_end);
  Step match_overlap(bool at_end);
  Step take_unproved(bool at_end);
  Step pass_from(std::size_t begin);

  std::string anchor_;  // empty: there is none
  std::string prefix_;
  std::string overlap_;
  std::string before_;
  std::string held_;
  bool matched_ = false;
};

}  // namespace spillway::attempt
