// An inference engine as the fleet sees it: how it is found, called and watched. One file each; docs/engines.md says
// which were run.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/config.h"
#include "config/load.h"
#include "fleet/models/manifest.h"
#include "fleet/models/memory.h"

namespace spillway::fleet {

// What an engine says of its own work, as its metrics have it.
struct EngineLoad {
  double running = 0;              // requests
  double waiting = 0;              // requests that it has taken and not begun
  std::optional<double> kv_usage;  // of the room for keys and values, 0 to 1; nothing: it does not tell
};

// What weights it reads.
enum class Weights {
  kGguf,    // one GGUF file: a Model of the store
  kFolder,  // a folder with config.json and *.safetensors, or the name of a Hugging Face repository that it fetches
            // itself
  kOwn,     // a name in its own store
};

struct Capabilities {
  Weights weights = Weights::kGguf;
  bool needs_gpu = false;
  bool checks_key = true;          // refuses requests without its key; otherwise whoever may use loopback may use it
  std::string_view image;          // its makers' container image
  std::string_view image_program;  // its program in there, a path or a word of its PATH
};

// Where it holds the keys and values of earlier requests.
struct HeldPrompts {
  int slots = 0;            // that a request can name (`id_slot`), one text each; 0: it chooses itself
  std::uint64_t bytes = 0;  // of main memory, for texts that have lost their slot
};

// How one start is called.
struct EngineStart {
  const config::Backend& backend;
  const Model& model;
  std::uint16_t port = 0;  // on 127.0.0.1
  std::string key;
  int threads = 0;  // for computing, where the Backend does not say; 0: the engine decides
};

// Stateless; one of each kind for the whole process. From any thread.
class Engine {
 public:
  virtual ~Engine() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;  // as in a Config
  [[nodiscard]] virtual Capabilities capabilities() const = 0;

  // Its program. The Error comes with the mend.
  [[nodiscard]] virtual Result<std::filesystem::path> find_program(const config::Environment& environment) const = 0;
  // Refuses what in `engine_args` would take address, key, model or slots out of Spillway's hands.
  [[nodiscard]] virtual Status check_arguments(const std::vector<std::string>& engine_args) const = 0;
  // Without the program's name; the Backend's engine_args come last, so that they win.
  [[nodiscard]] virtual std::vector<std::string> arguments(const EngineStart& start) const = 0;
  // Of `inherited` ("NAME=value") what an engine needs, and what it is told by variables.
  [[nodiscard]] virtual std::vector<std::string> environment(const std::vector<std::string>& inherited,
                                                             const EngineStart& start) const = 0;

  // Several of this program may each compute on all processors: while one of its threads waits for another, something
  // else runs.
  [[nodiscard]] virtual bool waits_asleep(const std::filesystem::path& /*program*/) const { return true; }

  // Where it says that it is well: GET, 200.
  [[nodiscard]] virtual std::string_view health_path() const { return "/health"; }
  // Where it says how much it has to do; empty: nowhere.
  [[nodiscard]] virtual std::string_view metrics_path() const { return "/metrics"; }
  // Of what it answers there; nothing where that is something else.
  [[nodiscard]] virtual std::optional<EngineLoad> read_metrics(std::string_view text) const = 0;

  // One line of its own errors from the end of its log; its last lines when there are none.
  [[nodiscard]] virtual std::string failure_text(std::string_view log_tail) const;
  // How it is going to run, for estimate_memory(); nothing: that is not known of it.
  [[nodiscard]] virtual std::optional<RunShape> run_shape(const config::Backend& /*backend*/) const {
    return std::nullopt;
  }
  [[nodiscard]] virtual HeldPrompts held_prompts(const config::Backend& /*backend*/, const Model& /*model*/) const {
    return {};
  }
  // What it says in its log that it takes; nothing: it does not say.
  [[nodiscard]] virtual std::optional<MemoryUse> reported_memory(std::string_view /*log*/) const {
    return std::nullopt;
  }
};

// Null: there is none of that name.
const Engine* find_engine(std::string_view name);
std::span<const Engine* const> engines();

// --- for their files
// ---------------------------------------------------------------------------------------------------

// The sum of a metric over its label sets, in Prometheus' text format; nothing where it is not there.
std::optional<double> metric(std::string_view text, std::string_view name);

// The variables of `inherited` that any engine needs (paths, locale, which GPUs): no provider's API key is among them.
std::vector<std::string> kept_environment(const std::vector<std::string>& inherited);

// Refuses any of `ours` among `engine_args`, also as "--option=value".
Status refuse_arguments(const std::vector<std::string>& engine_args, std::span<const std::string_view> ours);

// Along PATH; relative entries are left out. kNotFound, with the mend.
Result<std::filesystem::path> find_on_path(const config::Environment& environment, const std::string& program,
                                           std::string mend);

}  // namespace spillway::fleet
