// Reading what an OpenAI-compatible Backend answers: enough to tell an answer from a failure.
#pragma once

#include <string>
#include <string_view>

#include "api/stream.h"

namespace spillway::api::openai {

// `data` needs ByteBuffer::kPadding readable bytes behind it.
Chunk read_chunk(std::string_view data, StreamFacts& facts);

Answer read_answer(std::string_view body);

// An event that a Backend left out and Spillway adds, whole: a role for the choice `index`.
std::string role_event(const StreamFacts& facts, std::int64_t index);

}  // namespace spillway::api::openai
