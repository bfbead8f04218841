#include "config/presets.h"

#include <array>

#include "config/config.h"

namespace spillway::config {

namespace {

// Base URLs, key variables and current models from each provider's own pages:
// api-docs.deepseek.com/quick_start/pricing, platform.openai.com/docs/models, platform.claude.com/docs,
// help.aliyun.com/zh/model-studio, and the servers' READMEs.
constexpr std::array<Preset, 9> kPresets{{
    {"deepseek", Dialect::kOpenAi, "https://api.deepseek.com/v1", Tier::kCloud, "cn", "DEEPSEEK_API_KEY",
     "deepseek-flash", "2026-11-15", "prefix", "/beta", "https://api.deepseek.com/anthropic"},
    {"openai", Dialect::kOpenAi, "https://api.openai.com/v1", Tier::kCloud, "us", "OPENAI_API_KEY", "gpt-6.2-sol",
     "2026-11-18", "ask"},
    {"anthropic", Dialect::kAnthropic, "https://api.anthropic.com", Tier::kCloud, "us", "ANTHROPIC_API_KEY",
     "claude-haiku-5-5", "2026-11-24", "ask", "", "https://api.anthropic.com"},
    {"dashscope", Dialect::kOpenAi, "https://dashscope.aliyuncs.com/compatible-mode/v1", Tier::kCloud, "cn",
     "DASHSCOPE_API_KEY", "qwen4-max", "2026-11-17", "partial"},
    {"zhipu", Dialect::kOpenAi, "https://open.bigmodel.cn/api/paas/v4", Tier::kCloud, "cn", "ZHIPU_API_KEY",
     "glm-5.3-flash", "2026-11-24", "ask"},
    {"moonshot", Dialect::kOpenAi, "https://api.moonshot.cn/v1", Tier::kCloud, "cn", "MOONSHOT_API_KEY", "kimi-k2.6",
     "2026-11-24", "partial"},
    {"ollama", Dialect::kOpenAi, "http://127.0.0.1:11434/v1", Tier::kEdge, "", "", "", "2026-11-24", "assistant"},
    {"llama.cpp", Dialect::kOpenAi, "http://127.0.0.1:8080/v1", Tier::kEdge, "", "", "", "2026-11-24",
     "continue_final_message"},
    {"vllm", Dialect::kOpenAi, "http://127.0.0.1:8000/v1", Tier::kEdge, "", "", "", "2026-11-24",
     "continue_final_message"},
}};

// The first row of the preset whose `model` the model's name begins with. No name: it has no switch.
struct ThinkingRow {
  std::string_view preset;
  std::string_view model;
  ThinkingSwitch off;
};

// From the same pages; and for open weights from their chat templates, which llama-server and vLLM pass the value to.
constexpr ThinkingRow kThinking[] = {
    {"deepseek", "", {"", "thinking", R"({"type":"disabled"})"}},
    {"dashscope", "qwen4", {"", "reasoning_effort", R"("none")"}},
    {"dashscope", "qwen3.8", {"", "reasoning_effort", R"("none")"}},
    {"dashscope", "", {"", "enable_thinking", "false"}},
    {"zhipu", "glm-5.3", {}},  // always thinks: "disabled" is a 400
    {"zhipu", "", {"", "thinking", R"({"type":"disabled"})"}},
    {"moonshot", "kimi-k2.5", {"", "thinking", R"({"type":"disabled"})"}},
    {"moonshot", "kimi-k2.6", {"", "thinking", R"({"type":"disabled"})"}},
    {"openai", "", {"", "reasoning_effort", R"("none")"}},
    {"ollama", "", {"", "reasoning_effort", R"("none")"}},
    {"llama.cpp", "", {"chat_template_kwargs", "enable_thinking", "false"}},
    {"vllm", "", {"chat_template_kwargs", "enable_thinking", "false"}},
};

// The first row of the preset whose `model` the model's name begins with; a preset without a row has none of it.
struct TraitsRow {
  std::string_view preset;
  std::string_view model;
  Traits traits;
};

// platform.openai.com/docs/guides/reasoning, platform.claude.com/docs (migration guides of Claude 5.5),
// api-docs.deepseek.com/guides/thinking_mode, platform.moonshot.cn/docs, the servers' READMEs; read 2026-11-24.
constexpr TraitsRow kTraits[] = {
    {"openai",
     "",
     {.takes_reasoning = false, .takes_effort = true, .max_completion_tokens = true, .fixed_sampling = true}},
    {"anthropic", "claude-haiku-5-5", {.may_be_silenced = true, .fixed_sampling = true}},
    {"anthropic", "claude-opus-5-5", {.fixed_sampling = true}},
    {"anthropic", "claude-sonnet-5-5", {.fixed_sampling = true}},
    {"anthropic", "", {.may_be_silenced = true}},
    {"deepseek", "", {.takes_effort = true, .may_be_silenced = true}},
    {"dashscope", "", {.takes_effort = true, .may_be_silenced = true}},
    {"zhipu", "", {.takes_effort = true}},
    {"moonshot", "", {.takes_effort = true, .max_completion_tokens = true, .fixed_sampling = true}},
    {"ollama", "", {.takes_effort = true, .may_be_silenced = true}},
    {"llama.cpp", "", {.open_sampling = true}},
    {"vllm", "", {.open_sampling = true}},
};

// The first row of the preset whose `model` the model's name begins with. From the providers' price pages, 2026-11-24.
struct PriceRow {
  std::string_view preset;
  std::string_view model;
  Price price;
};

constexpr PriceRow kPrices[] = {
    {"deepseek", "deepseek-flash", {0.15, 0.60}},
    {"deepseek", "deepseek-v4-pro", {0.66, 1.98}},
    {"openai", "gpt-6.2-sol", {2, 10}},
    {"openai", "gpt-6-luna", {0.10, 0.50}},
    {"anthropic", "claude-sonnet-5-5", {2, 10}},
    {"anthropic", "claude-opus-5-5", {4, 20}},
    {"anthropic", "claude-haiku-5-5", {0.10, 0.50}},
    {"dashscope", "qwen4-max", {1.50, 4.50}},
    {"dashscope", "qwen3.8-flash", {0.15, 0.47}},
    {"zhipu", "glm-5.3-flash", {0.15, 0.50}},
    {"zhipu", "glm-5.3", {1.40, 4.40}},
    {"moonshot", "kimi-k3.1-pro", {2, 10}},
    {"moonshot", "kimi-k2.6", {0.95, 4}},
    {"ollama", "", {}},
    {"llama.cpp", "", {}},
    {"vllm", "", {}},
};

}  // namespace

std::optional<Price> find_price(std::string_view preset, std::string_view model) {
  for (const PriceRow& row : kPrices) {
    if (row.preset == preset && model.starts_with(row.model)) return row.price;
  }
  return std::nullopt;
}

std::optional<Price> price_of(const Target& target, const Backend& backend) {
  const std::string& model = target.model.empty() ? backend.model : target.model;
  const std::optional<Price> known = backend.is_local() ? Price{} : find_price(backend.preset, model);
  if (!known && (!target.input_price || !target.output_price)) return std::nullopt;
  const Price base = known.value_or(Price{});
  return Price{target.input_price.value_or(base.input), target.output_price.value_or(base.output)};
}

Traits find_traits(std::string_view preset, std::string_view model) {
  for (const TraitsRow& row : kTraits) {
    if (row.preset == preset && model.starts_with(row.model)) return row.traits;
  }
  return {};
}

std::span<const Preset> presets() { return kPresets; }

const Preset* find_preset(std::string_view name) {
  for (const Preset& preset : kPresets) {
    if (preset.name == name) return &preset;
  }
  return nullptr;
}

const ThinkingSwitch* find_thinking_switch(std::string_view preset, std::string_view model) {
  for (const ThinkingRow& row : kThinking) {
    if (row.preset == preset && model.starts_with(row.model)) return row.off.name.empty() ? nullptr : &row.off;
  }
  return nullptr;
}

}  // namespace spillway::config
