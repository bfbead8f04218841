// Ollama: `ollama serve`, with a store and a scheduler of its own. It has no metrics and no key. Source: Ollama's
// documentation of its variables, read 2026-11-27.
#include <array>

#include "fleet/engine/engines.h"

namespace spillway::fleet {

namespace {

class Ollama final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "ollama"; }
  [[nodiscard]] Capabilities capabilities() const override {
    return {Weights::kOwn, false, false, "ollama/ollama", "ollama"};
  }

  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& environment) const override {
    return find_on_path(environment, "ollama", "install Ollama, and have it in PATH");
  }

  [[nodiscard]] Status check_arguments(const std::vector<std::string>& engine_args) const override {
    if (engine_args.empty()) return {};
    return Error{ErrorCode::kInvalidArgument, "`ollama serve` takes no engine_args", "leave them out"};
  }

  [[nodiscard]] std::vector<std::string> arguments(const EngineStart& /*start*/) const override { return {"serve"}; }

  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                     const EngineStart& start) const override {
    std::vector<std::string> out = kept_environment(inherited);
    for (const std::string& entry : inherited) {
      if (entry.starts_with("OLLAMA_MODELS=")) out.push_back(entry);
    }
    out.push_back("OLLAMA_HOST=127.0.0.1:" + std::to_string(start.port));
    out.push_back("OLLAMA_NUM_PARALLEL=" + std::to_string(start.backend.parallel + start.backend.critical_parallel));
    out.push_back("OLLAMA_CONTEXT_LENGTH=" + std::to_string(start.backend.context));
    out.emplace_back("OLLAMA_KEEP_ALIVE=-1");  // when it ends is Spillway's to say
    return out;
  }

  [[nodiscard]] std::string_view health_path() const override { return "/api/version"; }
  [[nodiscard]] std::string_view metrics_path() const override { return ""; }
  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view /*text*/) const override {
    return std::nullopt;
  }
};

}  // namespace

const Engine& ollama_engine() {
  static const Ollama kEngine;
  return kEngine;
}

}  // namespace spillway::fleet
