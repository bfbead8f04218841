// What can go wrong with an answer: one table. A plan is what goes over the wire, step by step.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "simulate/answer.h"
#include "simulate/question.h"

namespace spillway::simulate {

struct Step {
  enum class Kind {
    kSend,
    kPause,    // for `time`
    kRepeat,   // send again and again, every `time`, until the client leaves
    kSilence,  // until the client leaves
    kReset,    // with a TCP reset
    kClose,
  };
  Kind kind = Kind::kSend;
  std::string bytes = {};
  milliseconds time{0};
  int tokens = 0;  // of the answer, in `bytes`
};
using Plan = std::vector<Step>;  // the connection is kept where it ends without a reset or a close

class Draft;

struct Fault {
  std::string_view name;
  std::string_view about;
  void (*stream)(Draft&);  // makes the plan of a streamed answer, and of one in one piece
  void (*whole)(Draft&);
  bool early = false;  // it strikes before the request's body has come
};

std::span<const Fault> faults();
// By its name, or an HTTP status from 400 to 599; null: there is none.
const Fault* find_fault(std::string_view word);
std::vector<std::string> fault_names();

// That one request is struck.
struct Strike {
  const Fault* fault = nullptr;  // null: nothing goes wrong
  std::string kind;              // as the profile names it
  double at = 0.5;               // the share of the answer's tokens after which it strikes
  std::optional<milliseconds> retry_after;
  std::string message;
  std::string code;
};

struct Timing {
  milliseconds first_token{0};
  double tokens_per_second = 0;  // 0: all at once
};

Plan make_plan(const Question& question, const Answer& answer, const Timing& timing, const Strike& strike);

// A whole response with `body`, as JSON.
std::string response(int status, std::string_view body, std::string_view fields = {});
std::string error_body(std::string_view message, std::string_view type, std::string_view code = {});

}  // namespace spillway::simulate
