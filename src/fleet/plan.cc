#include "fleet/plan.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "base/file.h"
#include "fleet/engine/llama_cpp.h"
#include "fleet/models/store.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

Error about(const config::Backend& backend, const Error& error) {
  return Error{error.code, "backend \"" + backend.name + "\": " + error.message, error.hint};
}

fs::path log_path(const fs::path& folder, const config::Backend& backend) {
  std::string name = backend.name;
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  std::ranges::replace_if(name, [&](char c) { return !plain(c); }, '_');
  return folder / ("engine-" + name + ".log");
}

Status check_log(const fs::path& path) {
  if (Status made = make_writable_directory(path.parent_path()); !made) return made;
  const FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600));
  if (!fd.valid()) return system_error("cannot write to", path, errno);
  return {};
}

Result<ReplicaPlan> plan_one(const config::Backend& backend, const fs::path& data,
                             const config::Environment& environment) {
  if (backend.engine != "llama.cpp") {
    return Error{ErrorCode::kInvalidArgument, "no engine is called \"" + backend.engine + "\"",
                 "write engine = \"llama.cpp\""};
  }
  if (backend.launcher != "process") {
    return Error{ErrorCode::kInvalidArgument, "there is no launcher \"" + backend.launcher + "\" in this version",
                 "write launcher = \"process\""};
  }
  if (Status fine = llama_cpp::check_arguments(backend.engine_args); !fine) return fine.error();
  Result<fs::path> program = llama_cpp::find_server(environment);
  if (!program) return program.error();
  Result<Model> model = Store(data / "models").resolve(backend.model);
  if (!model) return model.error();
  const fs::path log = log_path(data / "log", backend);
  if (Status writable = check_log(log); !writable) return writable.error();
  return ReplicaPlan{backend, std::move(model).value(), std::move(program).value(), log};
}

}  // namespace

Result<std::vector<ReplicaPlan>> make_plan(const config::Config& config, const fs::path& data,
                                           const config::Environment& environment) {
  std::vector<ReplicaPlan> plans;
  for (const config::Backend& backend : config.backends) {
    if (!backend.is_local()) continue;
    Result<ReplicaPlan> plan = plan_one(backend, data, environment);
    if (!plan) return about(backend, plan.error());
    plans.push_back(std::move(plan).value());
  }
  return plans;
}

bool same_model(const ReplicaPlan& a, const ReplicaPlan& b) {
  return a.backend.model == b.backend.model && a.model.path == b.model.path && a.model.size == b.model.size &&
         a.model.gguf == b.model.gguf;
}

bool same_run(const ReplicaPlan& a, const ReplicaPlan& b) {
  return same_model(a, b) && a.program == b.program && a.log_file == b.log_file &&
         a.backend.context == b.backend.context && a.backend.parallel == b.backend.parallel &&
         a.backend.critical_parallel == b.backend.critical_parallel &&
         a.backend.engine_threads == b.backend.engine_threads && a.backend.engine_args == b.backend.engine_args;
}

}  // namespace spillway::fleet
