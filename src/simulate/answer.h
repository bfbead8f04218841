// What a simulated provider says: the same for the same question, wherever it is asked to begin.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "simulate/question.h"

namespace spillway::simulate {

struct Answer {
  struct Call {
    std::string id;
    std::string name;
    std::vector<std::string> arguments;  // in pieces
  };
  std::string id;
  std::string model;
  long long created = 0;               // seconds since 1970
  std::vector<std::string> reasoning;  // tokens
  std::vector<std::string> text;       // tokens
  std::vector<Call> calls;
  std::string finish;  // finish_reason
  std::int64_t prompt_tokens = 0;
  [[nodiscard]] std::int64_t completion_tokens() const;
};

// `number`: of the request, for its id. Where the question tells a part of an answer, what follows it.
Answer make_answer(const Question& question, const Profile& profile, std::uint64_t number, long long created);

}  // namespace spillway::simulate
