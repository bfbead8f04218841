// The tool calls of one answer, which come in pieces.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "api/part.h"

namespace spillway::api {

// Tells to which call a piece belongs. Servers differ: most give each piece the call's index, and the id and the name
// with the first; some repeat both in each piece (Fireworks), give no index, no id or an empty one, the id before the
// name, or every call the index 0 (vLLM, old SGLang). So a new index begins a call, a new id with a name does, and
// without either a name does; all else goes on with the call of its index, of its id, or the latest.
class ToolCalls {
 public:
  struct Piece {
    std::optional<std::int64_t> index;
    std::string_view id;  // escaped, as all of these; empty: there is none
    std::string_view name;
    std::string_view arguments;
  };

  // The place of its call, in the order in which they began.
  std::size_t place_of(const Piece& piece);

  // Appends what is new in it: kCall once the name is known, and kArguments. An id is made where there is none.
  void add(const Piece& piece, Parts& out);

  // An id for the call at `place` of an answer that nobody gave one.
  static std::string made_id(std::string_view answer, std::size_t place);
  // Whose calls these are; for made_id().
  void of_answer(std::string_view answer) { answer_ = answer; }

 private:
  struct Call {
    std::string id;
    std::string name;
    std::string early;  // arguments that came before the name
    bool begun = false;
  };
  std::size_t begin(const Piece& piece);

  std::vector<Call> calls_;
  std::unordered_map<std::int64_t, std::size_t> by_index_;
  std::unordered_map<std::string, std::size_t> by_id_;
  std::string answer_;
};

}  // namespace spillway::api
