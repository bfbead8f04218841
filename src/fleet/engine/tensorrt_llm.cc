// TensorRT-LLM: `trtllm-serve`. Its /metrics is a JSON list of what each iteration was, the last one last; what was
// told is not told again. Source: TensorRT-LLM's documentation of trtllm-serve, read 2026-11-27.
#include <array>
#include <nlohmann/json.hpp>

#include "fleet/engine/engines.h"

namespace spillway::fleet {

using Json = nlohmann::json;

namespace {

double figure(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() && found->get<double>() >= 0 ? found->get<double>() : 0;
}

class TensorRtLlm final : public Engine {
 public:
  [[nodiscard]] std::string_view name() const override { return "tensorrt-llm"; }
  [[nodiscard]] Capabilities capabilities() const override {
    return {Weights::kFolder, true, false, "nvcr.io/nvidia/tensorrt-llm/release", "trtllm-serve"};
  }

  [[nodiscard]] Result<std::filesystem::path> find_program(const config::Environment& environment) const override {
    return find_on_path(environment, "trtllm-serve",
                        "install TensorRT-LLM (`pip install tensorrt-llm`) and have its bin folder in PATH");
  }

  [[nodiscard]] Status check_arguments(const std::vector<std::string>& engine_args) const override {
    constexpr std::array<std::string_view, 5> kOurs{"--host", "--port", "--max_seq_len", "--max_batch_size",
                                                    "--served_model_name"};
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
                                 "--max_seq_len",
                                 std::to_string(backend.context),
                                 "--max_batch_size",
                                 std::to_string(backend.parallel + backend.critical_parallel),
                                 "--served_model_name",
                                 backend.model};
    out.insert(out.end(), backend.engine_args.begin(), backend.engine_args.end());
    return out;
  }

  [[nodiscard]] std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                     const EngineStart& /*start*/) const override {
    return kept_environment(inherited);
  }

  [[nodiscard]] std::optional<EngineLoad> read_metrics(std::string_view text) const override {
    const Json json = Json::parse(text, nullptr, false);
    if (!json.is_array()) return std::nullopt;
    if (json.empty()) return EngineLoad{0, 0, std::nullopt};  // no iteration since it was asked last: it is idle
    const Json& last = json.back();
    if (!last.is_object()) return std::nullopt;
    EngineLoad out;
    out.running = figure(last, "numActiveRequests");
    out.waiting = figure(last, "numQueuedRequests");
    const auto cache = last.find("kvCacheStats");
    if (cache != last.end() && cache->is_object() && figure(*cache, "maxNumBlocks") > 0) {
      out.kv_usage = figure(*cache, "usedNumBlocks") / figure(*cache, "maxNumBlocks");
    }
    return out;
  }
};

}  // namespace

const Engine& tensorrt_llm_engine() {
  static const TensorRtLlm kEngine;
  return kEngine;
}

}  // namespace spillway::fleet
