// Reading what an OpenAI-compatible Backend answers: enough to tell an answer from a failure.
#pragma once

#include <string>
#include <string_view>

#include "api/stream.h"

namespace spillway::api::openai {

// `data` needs ByteBuffer::kPadding readable bytes behind it.
Chunk read_chunk(std::string_view data, StreamFacts& facts);

Answer read_answer(std::string_view body);

// Events that a Backend left out and Spillway adds, whole: a role for the choice `index`, and a finish_reason for each
// choice that has none ("tool_calls" where it made calls, else "stop").
std::string role_event(const StreamFacts& facts, std::int64_t index);
std::string finish_events(const StreamFacts& facts);

// The beginning of a chunk of the stream that `facts` tell of, up to the choice's members; then `rest`, which closes
// them, and the event's end.
void append_chunk(std::string& out, const StreamFacts& facts, std::int64_t index, std::string_view rest);

}  // namespace spillway::api::openai
