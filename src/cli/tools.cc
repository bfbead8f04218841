#include "cli/tools.h"

#include <array>
#include <nlohmann/json.hpp>

namespace spillway::cli {

namespace {

constexpr const char* kKey = "spillway";  // where a tool wants a key, and the gateway none

// From each tool's own documentation, read 2026-11: code.claude.com/docs/en/llm-gateway, the READMEs of openai/codex
// (docs/config.md), sst/opencode (docs/config), aider.chat/docs/llms/openai-compat, block/goose, QwenLM/qwen-code,
// simonw/llm, ollama/ollama.
constexpr std::array<ToolEntry, 9> kTools{{
    {"claude", "Claude Code"},
    {"codex", "OpenAI Codex"},
    {"opencode", "OpenCode"},
    {"aider", "Aider"},
    {"goose", "Goose"},
    {"qwen", "Qwen Code"},
    {"openai", "any program with an OpenAI SDK"},
    {"anthropic", "any program with an Anthropic SDK"},
    {"ollama", "the ollama command, and programs with its SDK"},
}};

std::string opencode_config(const std::string& gateway, const std::string& model) {
  nlohmann::ordered_json config;
  auto& provider = config["provider"]["spillway"];
  provider["npm"] = "@ai-sdk/openai-compatible";
  provider["name"] = "Spillway";
  provider["options"] = {{"baseURL", gateway + "/v1"}, {"apiKey", kKey}};
  if (!model.empty()) {
    provider["models"][model] = {{"name", model}};
    config["model"] = "spillway/" + model;
  }
  return config.dump();
}

}  // namespace

std::span<const ToolEntry> tools() { return kTools; }

std::optional<ToolStart> start_of(std::string_view tool, const std::string& gateway, const std::string& model) {
  ToolStart out;
  out.program = tool;
  const auto set = [&](const char* name, const std::string& value) { out.environment.push_back({name, value}); };
  const auto set_model = [&](const char* name, const std::string& prefix = {}) {
    if (!model.empty()) set(name, prefix + model);
  };
  const std::string openai = gateway + "/v1";
  if (tool == "claude" || tool == "anthropic") {
    set("ANTHROPIC_BASE_URL", gateway);
    // The former wins over a stored login; the latter is what SDKs read.
    set(tool == "claude" ? "ANTHROPIC_AUTH_TOKEN" : "ANTHROPIC_API_KEY", kKey);
    if (tool == "claude") {
      set_model("ANTHROPIC_MODEL");
      set_model("ANTHROPIC_DEFAULT_HAIKU_MODEL");
      set("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1");
    }
  } else if (tool == "codex") {
    set("SPILLWAY_API_KEY", kKey);
    // It takes a provider only from its config, which -c lays over the file.
    out.arguments = {"-c", "model_provider=spillway", "-c",
                     R"(model_providers.spillway={name="Spillway",base_url=")" + openai +
                         R"(",env_key="SPILLWAY_API_KEY",wire_api="responses"})"};
    // Tools that only OpenAI runs, or that come in a form of its own.
    out.arguments.insert(out.arguments.end(), {"-c", "web_search=\"disabled\"", "-c", "features.multi_agent=false"});
    if (!model.empty()) out.arguments.insert(out.arguments.end(), {"-m", model});
  } else if (tool == "opencode") {
    set("OPENCODE_CONFIG_CONTENT", opencode_config(gateway, model));
  } else if (tool == "aider") {
    set("OPENAI_API_BASE", openai);
    set("OPENAI_API_KEY", kKey);
    set_model("AIDER_MODEL", "openai/");
  } else if (tool == "goose") {
    set("GOOSE_PROVIDER", "openai");
    set("OPENAI_HOST", gateway);
    set("OPENAI_API_KEY", kKey);
    set_model("GOOSE_MODEL");
  } else if (tool == "qwen" || tool == "openai") {
    set("OPENAI_BASE_URL", openai);
    set("OPENAI_API_KEY", kKey);
    if (tool == "qwen") set_model("OPENAI_MODEL");
  } else if (tool == "ollama") {
    set("OLLAMA_HOST", gateway);
  } else {
    return std::nullopt;
  }
  return out;
}

}  // namespace spillway::cli
