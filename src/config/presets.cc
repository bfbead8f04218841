#include "config/presets.h"

#include <array>

namespace spillway::config {

namespace {

// Base URLs and key variables as each provider's quick-start page has them, models as its first example names
// them (read 2026-11): api-docs.deepseek.com, platform.openai.com/docs, docs.anthropic.com,
// help.aliyun.com/zh/model-studio, github.com/ollama/ollama/blob/main/docs/openai.md,
// github.com/ggml-org/llama.cpp/tree/master/tools/server, docs.vllm.ai.
constexpr std::array<Preset, 7> kPresets{{
    {"deepseek", Dialect::kOpenAi, "https://api.deepseek.com/v1", Tier::kCloud, "cn", "DEEPSEEK_API_KEY",
     "deepseek-chat"},
    {"openai", Dialect::kOpenAi, "https://api.openai.com/v1", Tier::kCloud, "us", "OPENAI_API_KEY", "gpt-4o-mini"},
    {"anthropic", Dialect::kAnthropic, "https://api.anthropic.com", Tier::kCloud, "us", "ANTHROPIC_API_KEY", ""},
    {"dashscope", Dialect::kOpenAi, "https://dashscope.aliyuncs.com/compatible-mode/v1", Tier::kCloud, "cn",
     "DASHSCOPE_API_KEY", "qwen-plus"},
    {"ollama", Dialect::kOpenAi, "http://127.0.0.1:11434/v1", Tier::kEdge, "", "", ""},
    {"llama.cpp", Dialect::kOpenAi, "http://127.0.0.1:8080/v1", Tier::kEdge, "", "", ""},
    {"vllm", Dialect::kOpenAi, "http://127.0.0.1:8000/v1", Tier::kEdge, "", "", ""},
}};

}  // namespace

std::span<const Preset> presets() { return kPresets; }

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

}  // namespace spillway::config
