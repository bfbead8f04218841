// Asking a gateway for one streamed chat completion, from a thread that waits for it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "http/url.h"

namespace spillway::cli {

struct Turn {
  std::string role;  // system, user, assistant
  std::string text;
};

struct ChatQuestion {
  std::string model;
  std::vector<Turn> turns;
  std::int64_t max_tokens = -1;  // -1: no limit
};

struct ChatAnswer {
  std::string text;
  std::string model;     // that answered
  std::string backend;   // that gave the first token
  bool stopped = false;  // by Ctrl-C
  bool resumed = false;  // another Backend went on with it
  std::int64_t tokens = 0;
  double first_token_ms = 0;
  double tokens_per_second = 0;  // behind the first token; 0: too few to say
};

// What comes of an answer, as it comes.
struct ChatListener {
  std::function<void(const std::string& text)> on_text;
  std::function<void(const std::string& text)> on_reasoning;
};

// Blocks until the answer is whole. SIGINT stops the answer: what came of it is returned. kUnavailable: nothing answers
// there, or the gateway says why not.
Result<ChatAnswer> ask_gateway(const http::Url& gateway, const ChatQuestion& question, const ChatListener& listener);

// Something answers GET /healthz there.
bool is_alive(const http::Url& gateway);

}  // namespace spillway::cli
