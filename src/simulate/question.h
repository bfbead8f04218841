// A chat completion request, as a simulated provider reads it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "simulate/profile.h"

namespace spillway::simulate {

struct Question {
  std::string model;
  bool stream = false;
  bool include_usage = false;
  std::int64_t max_tokens = -1;  // -1: no limit
  bool thinks = true;            // it has not switched thinking off
  bool wants_json = false;       // response_format asks for it
  std::string tool;              // the name of the first tool; empty: there is none
  // The part of an answer that it is to go on with, and the form in which it was told; both empty: none.
  std::string prefix;
  std::string form;
  std::string anchor;   // form "ask": what it has to say again first
  std::string subject;  // what the answer is made up from: all messages but that part
  std::int64_t prompt_tokens = 0;
};

struct Refusal {
  int status = 400;
  std::string message;
};

// A Refusal for what is no request, and for a form that `profile` does not go on with.
std::variant<Question, Refusal> read_question(std::string_view body, const Profile& profile);

// The text in the pieces in which a model would say it: words with the space before them, other characters one by one.
std::vector<std::string> tokenize(std::string_view text);

}  // namespace spillway::simulate
