// SGLang: `python -m sglang.launch_server`. Source: SGLang's documentation of its server arguments and production
// metrics, read 2026-11-27.
#include <array>

#include "fleet/engine/engines.h"

namespace spillway::fleet {

namespace {

class Sglang final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "sglang"; }
  [[nodiscard]] Capabilities capabilities() const override {
    return {Weights::kFolder, true, true, "lmsysorg/sglang", "python3"};
  }

  // The module has no program of its own: the Python beside it runs it.
  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& environment) const override {
    if (const auto named = environment("SPILLWAY_SGLANG_PYTHON"); named && !named->empty())
      return std::filesystem::path(*named);
    return find_on_path(environment, "python3",
                        "name the Python of SGLang's environment in SPILLWAY_SGLANG_PYTHON (`pip install sglang`)");
  }

  [[nodiscard]] Status check_arguments(const std::vector<std::string>& engine_args) const override {
    constexpr std::array<std::string_view, 9> kOurs{"--host",           "--port",
                                                    "--api-key",        "--model-path",
                                                    "--model",          "--served-model-name",
                                                    "--context-length", "--max-running-requests",
                                                    "--enable-metrics"};
    return refuse_arguments(engine_args, kOurs);
  }

  [[nodiscard]] std::vector<std::string> arguments(const EngineStart& start) const override {
    const config::Backend& backend = start.backend;
    // Its key goes by an argument alone: on a machine with other users they can read it.
    std::vector<std::string> out{"-m",
                                 "sglang.launch_server",
                                 "--model-path",
                                 start.model.path.string(),
                                 "--host",
                                 "127.0.0.1",
                                 "--port",
                                 std::to_string(start.port),
                                 "--api-key",
                                 start.key,
                                 "--served-model-name",
                                 backend.model,
                                 "--context-length",
                                 std::to_string(backend.context),
                                 "--max-running-requests",
                                 std::to_string(backend.parallel + backend.critical_parallel),
                                 "--enable-metrics"};
    out.insert(out.end(), backend.engine_args.begin(), backend.engine_args.end());
    return out;
  }

  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                     const EngineStart& /*start*/) const override {
    return kept_environment(inherited);
  }

  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view text) const override {
    const std::optional<double> running = metric(text, "sglang:num_running_reqs");
    const std::optional<double> waiting = metric(text, "sglang:num_queue_reqs");
    if (!running || !waiting) return std::nullopt;
    return EngineLoad{*running, *waiting, metric(text, "sglang:token_usage")};
  }
};

}  // namespace

const Engine& sglang_engine() {
  static const Sglang kEngine;
  return kEngine;
}

}  // namespace spillway::fleet
