// Going on with a text that a client already has a part of: where to cut it, and how to match what comes.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace spillway::attempt {

// How many bytes of `sent` an upstream is told that it has said: back from the end to a boundary (before white space,
// or before a CJK character), over at least kLeastOverlap characters and proving_end(), so that what it says again
// proves that it goes on from there and did not begin anew; and since a cut inside a word is tokenized otherwise than
// the whole word. 0: `sent` is too short for that. npos: there is no boundary within kLookBack characters of that.
std::size_t safe_prefix(std::string_view sent);

inline constexpr std::size_t kLeastOverlap = 8;     // characters
inline constexpr std::size_t kLookBack = 96;        // characters
inline constexpr std::size_t kLongestProof = 1024;  // bytes

// How many bytes at the end of `text` prove that something goes on from it, when they are said again: they stand
// nowhere else in it, each run of white space taken for any other. npos: more than kLongestProof, or not even all of it
// ("----", "no, no, no, ").
std::size_t proving_end(std::string_view text);

// What an upstream is asked to repeat so that it goes on from there: the last 40 characters of `sent`, or as many more
// as prove something. Empty: no end of it does, within kLongestAnchor bytes.
std::string_view anchor_of(std::string_view sent);

inline constexpr std::size_t kLongestAnchor = 400;  // bytes

// Code points of a text in UTF-8.
std::size_t count_characters(std::string_view text);

// Is what was said the wanted text but for its white space, as far as both go? Nothing else is known of an upstream
// that folds white space.
bool alike_but_for_white_space(std::string_view said, std::string_view wanted);

// Matches what an upstream says behind `prefix` against `overlap`, which the client has behind it too, and gives what
// is new, byte for byte. What it says again of the prefix, its end or all of it, is dropped where the overlap follows.
// Without an overlap nothing tells text from what is said again: it has to begin with neither; at most kChance bytes
// may be alike ("no, no, no"). Pure.
class Splice {
 public:
  static constexpr std::size_t kEcho = 24;   // bytes; who begins so begins anew
  static constexpr std::size_t kChance = 5;  // bytes
  static constexpr std::size_t kTail = 96;   // bytes of the prefix that may be said again, when not all of it is
  static constexpr std::size_t kAlike = 16;  // bytes; two answers that begin alike so far are the same

  // `overlap`: proves something (proving_end), or is white space alone, which proves nothing but has to come. `before`:
  // what the same upstream said when it was told less, and was not taken; without an overlap it is not told apart from
  // going on by anything else.
  Splice(std::string prefix, std::string overlap, std::string before = {});
  // For an upstream that is known to go on from what it is told, and to say nothing of it again: an engine of our own.
  // All that it says is new, whatever it looks like; of white space, `behind` has to come first.
  static Splice exact(std::string behind);
  // For an upstream that was asked to repeat `anchor`, the end of what the client has, and to go on: what comes behind
  // it is new. White space inside the anchor counts alike wherever there is some; at its end it has to come as it is.
  // It may say kAnchorWithin bytes before it.
  static Splice behind(std::string anchor);
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

  std::string anchor_;  // without the white space around it; empty: there is none
  std::string behind_;  // white space that has to follow: on the anchor, or at once
  std::string prefix_;
  std::string overlap_;
  std::string before_;
  std::string held_;
  bool exact_ = false;
  bool matched_ = false;
};

}  // namespace spillway::attempt
