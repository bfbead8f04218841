// The engines there are. A new one: its file, its line here and in engine.cc, its word in config/schema.cc, its row in
// docs/engines.md.
#pragma once

#include "fleet/engine/engine.h"

namespace spillway::fleet {

const Engine& llama_cpp_engine();
const Engine& vllm_engine();
const Engine& sglang_engine();
const Engine& tensorrt_llm_engine();
const Engine& ollama_engine();

}  // namespace spillway::fleet
