#include "config/model_facts.h"

#include "config/config.h"
#include "config/presets.h"

namespace spillway::config {

namespace {

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
    {"sglang", "", {"chat_template_kwargs", "enable_thinking", "false"}},
    {"volcengine", "", {"", "thinking", R"({"type":"disabled"})"}},
    {"siliconflow", "", {"", "enable_thinking", "false"}},
    {"hunyuan", "", {"", "thinking", R"({"type":"disabled"})"}},
    {"minimax", "MiniMax-M3.1-Flash", {}},  // always thinks
    {"minimax", "MiniMax-M3", {"", "thinking", R"({"type":"disabled"})"}},
    {"gemini", "gemini-4", {}},  // cannot be silenced
    {"gemini", "", {"", "reasoning_effort", R"("none")"}},
    {"azure-openai", "", {"", "reasoning_effort", R"("none")"}},
    {"openrouter", "", {"reasoning", "enabled", "false"}},
    {"together", "", {"reasoning", "enabled", "false"}},
    {"mistral", "", {"", "reasoning_effort", R"("none")"}},
    {"nvidia", "", {"chat_template_kwargs", "enable_thinking", "false"}},
    {"lemonade", "", {"chat_template_kwargs", "enable_thinking", "false"}},
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
    {"sglang", "", {.open_sampling = true}},
    {"lmstudio", "", {.open_sampling = true}},
    {"lemonade", "", {.open_sampling = true}},
    {"docker", "", {.open_sampling = true}},
    {"azure-openai",
     "",
     {.takes_reasoning = false, .takes_effort = true, .max_completion_tokens = true, .fixed_sampling = true}},
    {"gemini", "", {.takes_reasoning = false, .takes_effort = true}},
    {"groq", "", {.takes_reasoning = false, .takes_effort = true}},
    {"mistral", "", {.takes_reasoning = false, .takes_effort = true, .nine_letter_ids = true}},
    {"xai", "", {.takes_reasoning = false, .takes_effort = true}},
    {"cerebras", "", {.takes_reasoning = false, .takes_effort = true}},
    {"fireworks", "", {.open_sampling = true, .takes_effort = true}},
    {"together", "", {.open_sampling = true, .takes_effort = true}},
    {"openrouter", "", {.open_sampling = true}},
    {"siliconflow", "", {.open_sampling = true, .takes_effort = true, .may_be_silenced = true}},
    {"stepfun", "", {.takes_effort = true}},
    {"hunyuan", "", {.takes_effort = true, .may_be_silenced = true}},
    {"volcengine", "", {.may_be_silenced = true}},
    {"minimax", "", {.may_be_silenced = true}},
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
    {"volcengine", "doubao-seed-2-1-lite", {0.115, 0.388}},
    {"volcengine", "doubao-seed-2-1-pro", {0.8625, 4.3125}},
    {"minimax", "MiniMax-M3", {0.30, 1.20}},
    {"hunyuan", "hy4", {0.834, 2.501}},
    {"stepfun", "step-3.7-flash", {0.20, 1.15}},
    {"gemini", "gemini-3.8-flash", {0.75, 3.75}},  // until 2026-12-31, then twice as much
    {"gemini", "gemini-4-hydrogen", {1.50, 7.50}},
    {"xai", "grok-4.7", {2, 6}},
    {"mistral", "mistral-large-4", {0.70, 2.10}},
    {"ollama", "", {}},
    {"llama.cpp", "", {}},
    {"vllm", "", {}},
    {"sglang", "", {}},
    {"lmstudio", "", {}},
    {"lemonade", "", {}},
    {"docker", "", {}},
};

}  // namespace

std::optional<Price> find_price(std::string_view preset, std::string_view model) {
  for (const PriceRow& row : kPrices) {
    if (row.preset == family_of(preset) && model.starts_with(row.model)) return row.price;
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
    if (row.preset == family_of(preset) && model.starts_with(row.model)) return row.traits;
  }
  return {};
}

const ThinkingSwitch* find_thinking_switch(std::string_view preset, std::string_view model) {
  for (const ThinkingRow& row : kThinking) {
    if (row.preset == family_of(preset) && model.starts_with(row.model))
      return row.off.name.empty() ? nullptr : &row.off;
  }
  return nullptr;
}

}  // namespace spillway::config
