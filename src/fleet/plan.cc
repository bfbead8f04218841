#include "fleet/plan.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "base/file.h"
#include "fleet/hardware/gpus.h"
#include "fleet/hardware/processor.h"
#include "fleet/memory_book.h"
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

// A folder of weights as Hugging Face has them, or a repository's name; of an engine with a store of its own any name.
Result<Model> resolve_elsewhere(Weights weights, const std::string& name) {
  Model out;
  out.path = name;
  if (weights == Weights::kOwn) return out;
  std::error_code ec;
  if (!name.starts_with('/') && !name.starts_with('.')) {
    const bool repository = std::ranges::count(name, '/') == 1 && name.find("..") == std::string::npos;
    if (repository) return out;
    return Error{ErrorCode::kInvalidArgument, "\"" + name + "\" is neither a folder nor a repository",
                 "name the folder that has config.json, or OWNER/REPO"};
  }
  if (!fs::is_regular_file(fs::path(name) / "config.json", ec)) {
    return Error{ErrorCode::kNotFound, name + " has no config.json",
                 "name the folder of a model in Hugging Face's form"};
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(name, ec)) {
    if (entry.path().extension() == ".safetensors") out.size += entry.file_size(ec);
  }
  return out;
}

// Its program in a container's image.
Result<fs::path> program_in_image(const Engine& engine, const config::Backend& backend) {
  if (engine.capabilities().weights == Weights::kOwn) {
    return Error{ErrorCode::kInvalidArgument,
                 std::string(engine.name()) + " reads its own store, which a container does not have",
                 "write launcher = \"process\""};
  }
  return fs::path(backend.image_program.empty() ? std::string(engine.capabilities().image_program)
                                                : backend.image_program);
}

Result<ReplicaPlan> plan_one(const config::Backend& backend, const fs::path& data,
                             const config::Environment& environment) {
  const Engine* const engine = find_engine(backend.engine);
  if (engine == nullptr) {
    return Error{ErrorCode::kInvalidArgument, "no engine is called \"" + backend.engine + "\"",
                 "write engine = \"llama.cpp\""};
  }
  const bool contained = backend.launcher == "docker";
  if (!contained && backend.launcher != "process") {
    return Error{ErrorCode::kInvalidArgument, "there is no launcher \"" + backend.launcher + "\" in this version",
                 "write launcher = \"process\""};
  }
  if (Status fine = engine->check_arguments(backend.engine_args); !fine) return fine.error();
  Result<fs::path> program = contained ? program_in_image(*engine, backend) : engine->find_program(environment);
  if (!program) return program.error();
  const Weights weights = engine->capabilities().weights;
  Result<Model> model = weights == Weights::kGguf ? Store(data / "models").resolve(backend.model)
                                                  : resolve_elsewhere(weights, backend.model);
  if (!model) return model.error();
  const fs::path log = log_path(data / "log", backend);
  if (Status writable = check_log(log); !writable) return writable.error();
  ReplicaPlan plan{backend, std::move(model).value(),  std::move(program).value(), log,
                   engine,  engine->run_shape(backend)};
  if (weights == Weights::kGguf && plan.shape) {
    const Result<GgufDetails> details = read_gguf_details(plan.model.path);
    if (!details) return details.error();
    plan.memory = MemoryBook(data / "memory.json").expect(plan.model.digest, *details, *plan.shape).memory;
  }
  if (!backend.memory_check) plan.memory = {};
  if (Status fits = check_room(plan, memory_for_engines(false), "this machine has"); !fits) return fits.error();
  if (backend.replica_bound() > 0) {
    if (Status fits = check_room(plan, backend.replica_bound(), "its `memory` is"); !fits) return fits.error();
  }
  return plan;
}

std::string gigabytes(std::uint64_t bytes) { return fmt::format("{:.2f} GB", static_cast<double>(bytes) / 1e9); }

// What to do about it, with numbers.
std::string what_would_fit(const ReplicaPlan& plan, std::uint64_t room) {
  const Result<GgufDetails> details = read_gguf_details(plan.model.path);
  if (!details || !plan.shape) return "a smaller model, or memory_check = false";
  if (const auto context = largest_context(*details, *plan.shape, room); context && *context < plan.shape->context) {
    return fmt::format("with context = {} it fits; so does a quantization of fewer bits, or a smaller `parallel`",
                       *context);
  }
  RunShape one = *plan.shape;
  one.slots = 1;
  if (const auto context = largest_context(*details, one, room); context) {
    return fmt::format("with parallel = 1 and context = {} it fits", std::min(*context, plan.shape->context));
  }
  const MemoryUse least = estimate_memory(*details, {.context = 2048});
  const std::uint64_t rest = least.cache + least.compute;
  const std::uint64_t parameters = std::max<std::uint64_t>(details->info.parameters, 1);
  const double bits = room > rest ? static_cast<double>(room - rest) * 8 / static_cast<double>(parameters) : 0;
  if (bits >= 2)
    return fmt::format("a quantization of at most {:.1f} bits a weight fits, as of `spillway doctor`", bits);
  return fmt::format(
      "a model of at most {:.1f} billion parameters at 4.9 bits (Q4_K_M) fits; `spillway doctor` lists some",
      static_cast<double>(room) * 0.9 * 8 / 4.9 / 1e9);
}

// What always runs has to have room beside each other.
Status check_together(const std::vector<ReplicaPlan>& plans, std::uint64_t room) {
  std::uint64_t sum = 0;
  std::string list;
  for (const ReplicaPlan& plan : plans) {
    if (plan.backend.on_demand() || plan.memory.total() == 0) continue;
    sum += plan.memory.total();
    list += (list.empty() ? "" : ", ") + plan.backend.name + " " + gigabytes(plan.memory.total());
  }
  if (sum <= room || room == 0) return {};
  return Error{
      ErrorCode::kResourceExhausted,
      "the local engines need " + gigabytes(sum) + " together (" + list + "), this machine has " + gigabytes(room),
      "fewer replicas, smaller models, or models that take turns (models = [\"…\"])"};
}

// Among all that may run at once; of Models that take turns that is mostly one.
void share_processors(std::vector<ReplicaPlan>& plans) {
  int engines = 0;
  std::set<std::string> pools;
  for (const ReplicaPlan& plan : plans) {
    if (!plan.backend.takes_turns() || pools.insert(plan.backend.member_of).second) ++engines;
  }
  const double cores = read_processor(Root()).usable();
  std::map<fs::path, bool> asleep;  // by program: reading one takes a moment
  for (ReplicaPlan& plan : plans) {
    const auto [found, is_new] = asleep.emplace(plan.program, false);
    if (is_new) found->second = engines > 1 && plan.engine->waits_asleep(plan.program);
    plan.threads = threads_beside(plan.backend, cores, found->second ? 1 : engines);
  }
}

}  // namespace

int threads_beside(const config::Backend& backend, double cores, int engines) {
  if (backend.cpus > 0) return static_cast<int>(std::ceil(backend.cpus));
  if (engines < 2 || cores < 1) return 0;
  return std::max(1, static_cast<int>(cores / engines));
}

Result<std::vector<ReplicaPlan>> make_plan(const config::Config& config, const fs::path& data,
                                           const config::Environment& environment) {
  std::vector<ReplicaPlan> plans;
  for (const config::Backend& backend : config.backends) {
    if (!backend.is_local()) continue;
    Result<ReplicaPlan> plan = plan_one(backend, data, environment);
    if (!plan) return about(backend, plan.error());
    plans.push_back(std::move(plan).value());
  }
  if (Status fits = check_together(plans, memory_for_engines(false)); !fits) return fits.error();
  share_processors(plans);
  return plans;
}

Status check_room(const ReplicaPlan& plan, std::uint64_t room, std::string_view whose) {
  const MemoryUse& memory = plan.memory;
  if (memory.total() == 0 || room == 0 || memory.total() <= room) return {};
  return Error{ErrorCode::kResourceExhausted,
               fmt::format("{} needs {} of memory ({} weights, {} cache, {} to compute in), {} {}",
                           plan.model.display_name(), gigabytes(memory.total()), gigabytes(memory.weights),
                           gigabytes(memory.cache), gigabytes(memory.compute), whose, gigabytes(room)),
               what_would_fit(plan, room)};
}

std::uint64_t memory_for_engines(bool free_now) {
  const MainMemory memory = read_memory(Root());
  std::uint64_t out = free_now ? memory.free_now() : memory.usable();
  std::vector<Unread> ignored;
  for (const Gpu& gpu : read_gpus(Root(), ignored).all) out += free_now ? gpu.memory_free : gpu.memory;
  return out;
}

bool same_model(const ReplicaPlan& a, const ReplicaPlan& b) {
  return a.backend.model == b.backend.model && a.model.path == b.model.path && a.model.size == b.model.size &&
         a.model.gguf == b.model.gguf;
}

bool same_run(const ReplicaPlan& a, const ReplicaPlan& b) {
  return same_model(a, b) && a.engine == b.engine && a.program == b.program && a.backend.context == b.backend.context &&
         a.backend.parallel == b.backend.parallel && a.backend.critical_parallel == b.backend.critical_parallel &&
         a.backend.engine_threads == b.backend.engine_threads && a.backend.engine_args == b.backend.engine_args &&
         a.backend.launcher == b.backend.launcher && a.backend.image == b.backend.image &&
         a.backend.image_digest == b.backend.image_digest && a.backend.cpus == b.backend.cpus &&
         a.backend.memory == b.backend.memory && a.backend.gpus == b.backend.gpus;
}

}  // namespace spillway::fleet
