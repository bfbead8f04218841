// vLLM: `vllm serve`. Source: vLLM's documentation of `vllm serve` and of its metrics (V1; kv_cache_usage_perc was
// called gpu_cache_usage_perc before), read 2026-11-27.
#include <array>

#include "fleet/engine/engines.h"

namespace spillway::fleet {

namespace {

class Vllm final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "vllm"; }
  [[nodiscard]] Capabilities capabilities() const override {
    return {Weights::kFolder, true, true, "vllm/vllm-openai", "vllm"};
  }

  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& environment) const override {
    return find_on_path(environment, "vllm", "install vLLM (`pip install vllm`) and have its bin folder in PATH");
  }

  [[nodiscard]] Status check_arguments(const std::vector<std::string>& engine_args) const override {
    constexpr std::array<std::string_view, 9> kOurs{
        "--host",      "--port",        "--api-key",       "--model",       "--served-model-name",
        "--root-path", "--ssl-keyfile", "--max-model-len", "--max-num-seqs"};
    return refuse_arguments(engine_args, kOurs);
  }

  [[nodiscard]] std::vector<std::string> arguments(const EngineStart& start) const override {
    const config::Backend& backend = start.backend;
    std::vector<std::string> out{"serve",
                                 start.model.path.string(),
                                 "--host",
                                 "127.0.0.1",
                                 "--port",
                                 std::to_string(start.port),
                                 "--served-model-name",
                                 backend.model,
                                 "--max-model-len",
                                 std::to_string(backend.context),
                                 "--max-num-seqs",
                                 std::to_string(backend.parallel + backend.critical_parallel)};
    out.insert(out.end(), backend.engine_args.begin(), backend.engine_args.end());
    return out;
  }

  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                     const EngineStart& start) const override {
    std::vector<std::string> out = kept_environment(inherited);
    // As a variable: arguments can be read by every user of the machine.
    out.push_back("VLLM_API_KEY=" + start.key);
    out.emplace_back("VLLM_NO_USAGE_STATS=1");
    return out;
  }

  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view text) const override {
    const std::optional<double> running = metric(text, "vllm:num_requests_running");
    const std::optional<double> waiting = metric(text, "vllm:num_requests_waiting");
    if (!running || !waiting) return std::nullopt;
    std::optional<double> usage = metric(text, "vllm:kv_cache_usage_perc");
    if (!usage) usage = metric(text, "vllm:gpu_cache_usage_perc");
    return EngineLoad{*running, *waiting, usage};
  }
};

}  // namespace

const Engine& vllm_engine() {
  static const Vllm kEngine;
  return kEngine;
}

}  // namespace spillway::fleet
