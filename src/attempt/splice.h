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

// Matches what an upstream says behind `prefix` against `overlap`, which the client has behind it too, and gives what
// is new. A prefix that the upstream repeats is dropped where it is longer than kEcho, or all of a shorter one that has
// more than kChance characters; less may be text ("no, no, no"). Pure.
class Splice {
 public:
  static constexpr std::size_t kEcho = 24;   // bytes
  static constexpr std::size_t kChance = 5;  // bytes

  Splice(std::string prefix, std::string overlap) : prefix_(std::move(prefix)), overlap_(std::move(overlap)) {}
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

 private:
  Step decide(bool at_end);
  Step look_for_anchor(bool at_end);

  std::string anchor_;  // empty: there is none
  std::string prefix_;
  std::string overlap_;
  std::string held_;
  bool echo_over_ = false;
  bool matched_ = false;
};

}  // namespace spillway::attempt
