// Reading what an OpenAI-compatible Backend answers: enough to tell an answer from a failure, and its parts.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "api/format.h"

namespace spillway::api::openai {

std::unique_ptr<EventReader> chat_reader();

Answer read_chat_answer(std::string_view body, Parts* parts);

// An event that a Backend left out and Spillway adds, whole: a role for the choice `index`.
std::string role_event(const StreamFacts& facts, std::int64_t index);

// The finish_reason; empty where there is none yet: null, "" (SGLang, old Ollama) or "null".
std::string_view finish_in(JsonTree::Value choice);

// The choice of that index among `facts`, made when it is new; null: there are too many.
StreamFacts::Choice* choice_of(StreamFacts& facts, std::int64_t index, bool& is_new);

// How a chat.completion grows out of its chunks.
std::unique_ptr<AnswerRules> chat_rules();

}  // namespace spillway::api::openai
