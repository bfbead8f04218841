#include "config/presets.h"

#include <array>

namespace spillway::config {

namespace {

// Base URLs, key variables and current models from each provider's own pages:
// api-docs.deepseek.com/quick_start/pricing, platform.openai.com/docs/models, platform.claude.com/docs,
// help.aliyun.com/zh/model-studio, and the servers' READMEs.
constexpr std::array<Preset, 7> kPresets{{
    {"deepseek", Dialect::kOpenAi, "https://api.deepseek.com/v1", Tier::kCloud, "cn", "DEEPSEEK_API_KEY",
     "deepseek-flash", "2026-11-15"},
    {"openai", Dialect::kOpenAi, "https://api.openai.com/v1", Tier::kCloud, "us", "OPENAI_API_KEY", "gpt-6.2-sol",
     "2026-11-18"},
    {"anthropic", Dialect::kAnthropic, "https://api.anthropic.com", Tier::kCloud, "us", "ANTHROPIC_API_KEY", "",
     "2026-11-24"},
    {"dashscope", Dialect::kOpenAi, "https://dashscope.aliyuncs.com/compatible-mode/v1", Tier::kCloud, "cn",
     "DASHSCOPE_API_KEY", "qwen4-max", "2026-11-17"},
    {"ollama", Dialect::kOpenAi, "http://127.0.0.1:11434/v1", Tier::kEdge, "", "", "", "2026-11-24"},
    {"llama.cpp", Dialect::kOpenAi, "http://127.0.0.1:8080/v1", Tier::kEdge, "", "", "", "2026-11-24"},
    {"vllm", Dialect::kOpenAi, "http://127.0.0.1:8000/v1", Tier::kEdge, "", "", "", "2026-11-24"},
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
