// Whether a body is sound JSON, all of it, walked by simdjson On-Demand. Only for sources: simdjson.h is slow to
// compile.
#pragma once

#include <simdjson.h>

#include <array>
#include <string_view>
#include <unordered_set>

#include "api/error.h"
#include "api/json_tree.h"

namespace spillway::api {

// A member of an object stands twice: no error of simdjson's.
inline constexpr simdjson::error_code kTwice = simdjson::NUM_ERROR_CODES;

// The names of an object's members so far.
class Names {
 public:
  // False: it is there already.
  bool add(std::string_view name) {
    if (count_ < few_.size()) {
      for (std::size_t i = 0; i < count_; ++i) {
        if (few_[i] == name) return false;
      }
      few_[count_++] = name;
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(name).second;
  }

 private:
  std::array<std::string_view, 24> few_;
  std::size_t count_ = 0;
  std::unordered_set<std::string_view> many_;
};

// RFC 8259, 6. On-Demand looks at numbers only when they are asked for, and then refuses those that do not fit into 64
// bits, which JSON allows.
bool is_number(std::string_view text);

// Walks a value to its end, so that nothing malformed is forwarded; `depth` is its own.
simdjson::error_code check(simdjson::ondemand::value value, int depth);

// What `error` means, for the client.
ApiError malformed(simdjson::error_code error);

}  // namespace spillway::api
