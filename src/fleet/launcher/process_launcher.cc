#include "fleet/launcher/process_launcher.h"

#include <fmt/ranges.h>
#include <unistd.h>

#include <cmath>
#include <csignal>
#include <utility>

#include "base/log.h"
#include "fleet/hardware/root.h"
#include "fleet/launcher/control_group.h"
#include "fleet/launcher/process.h"

namespace spillway::fleet {

namespace {

std::vector<std::string> inherited_environment() {
  std::vector<std::string> out;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.emplace_back(*entry);
  return out;
}

// How often the kernel has killed somebody for want of memory, since it runs.
std::uint64_t kills_for_memory() {
  const Result<std::string> text = Root().text("/proc/vmstat");
  if (!text) return 0;
  for (const std::string_view line : lines_of(*text)) {
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() == 2 && words[0] == "oom_kill") return leading_number(words[1]).value_or(0);
  }
  return 0;
}

// utime and stime of a process and of those of its children that have ended (proc(5)).
Duration time_of(const Root& root, const std::string& pid) {
  const std::string line = root.line("/proc/" + pid + "/stat");
  const std::size_t name_end = line.rfind(')');  // a program's name may hold anything
  if (name_end == std::string::npos) return {};
  const std::vector<std::string_view> words = words_of(std::string_view(line).substr(name_end + 1));
  if (words.size() < 15) return {};
  std::uint64_t ticks = 0;
  for (std::size_t i = 11; i < 15; ++i) ticks += leading_number(words[i]).value_or(0);
  static const auto kTicksPerSecond = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return milliseconds(ticks * 1'000 / kTicksPerSecond);
}

// With those of its children that run, and of theirs.
Duration time_of_tree(const Root& root, const std::string& pid) {
  constexpr std::size_t kMost = 10'000;  // processes
  std::vector<std::string> pids{pid};
  Duration sum{};
  for (std::size_t next = 0; next < pids.size() && next < kMost; ++next) {
    sum += time_of(root, pids[next]);
    const std::string tasks = "/proc/" + pids[next] + "/task";
    for (const std::string& task : root.names(tasks)) {
      const std::string children = root.line(tasks + "/" + task + "/children");
      for (const std::string_view child : words_of(children)) pids.emplace_back(child);
    }
  }
  return sum;
}

class ProcessInstance : public Instance {
 public:
  ProcessInstance(Access access, std::unique_ptr<Process> process, std::unique_ptr<ControlGroup> group,
                  const Bounds& bounds)
      : Instance(access.port, std::move(access.key)),
        group_(std::move(group)),
        process_(std::move(process)),
        bounds_(bounds),
        kills_before_(kills_for_memory()) {}

  [[nodiscard]] int pid() const override { return process_->pid(); }
  [[nodiscard]] std::string description() const override { return "pid " + std::to_string(process_->pid()); }
  void terminate() override { process_->kill_group(SIGTERM); }
  void kill() override {
    killed_ = true;
    process_->kill_group(SIGKILL);
  }

  void on_exit(ExitHandler handler) override {
    process_->on_exit([this, handler = std::move(handler)](ExitStatus status) {
      const ExitHandler call = handler;  // it may destroy *this
      call(describe(status));
    });
  }

  [[nodiscard]] Duration processor_time() const override {
    return time_of_tree(Root(), std::to_string(process_->pid()));
  }

 private:
  [[nodiscard]] Exit describe(ExitStatus status) const {
    Exit out{.text = "it " + status.to_string()};
    if (status.signal != SIGKILL || killed_) return out;
    if (group_ && group_->out_of_memory()) {
      out.out_of_memory = true;
      out.text = "it needed more memory than it may have (memory = \"" + std::to_string(bounds_.memory >> 20) +
                 "MiB\") and was killed";
    } else if (kills_for_memory() > kills_before_) {
      out.out_of_memory = true;
      out.text += ", as this machine ran out of memory";
    } else {
      out.from_outside = true;
    }
    return out;
  }

  std::unique_ptr<ControlGroup> group_;  // outlives who is in it
  std::unique_ptr<Process> process_;
  Bounds bounds_;
  std::uint64_t kills_before_;
  bool killed_ = false;  // by us
};

class ProcessLauncher : public Launcher {
 public:
  explicit ProcessLauncher(boost::asio::io_context& loop) : loop_(loop) {}

  void start(const ReplicaPlan& plan, Started done) override { done(run(plan)); }
  // They ended with their process.
  void keep_only(const std::set<std::string>& /*backends*/, FoundRunning /*found*/) override {}

 private:
  Result<std::unique_ptr<Instance>> run(const ReplicaPlan& plan) {
    // Before gigabytes are read: what does not fit would be killed, and others with it.
    if (Status room = check_room(plan, memory_for_engines(true), "there is room for"); !room) return room.error();
    Result<Access> access = make_access();
    if (!access) return access.error();
    const EngineStart start{plan.backend, plan.model, access->port, access->key, plan.threads};
    ProcessSpec spec{plan.program, plan.engine->arguments(start),
                     plan.engine->environment(inherited_environment(), start), plan.log_file};
    if (!plan.backend.gpus.empty() && plan.backend.gpus.front() != "all")
      spec.environment.push_back(fmt::format("CUDA_VISIBLE_DEVICES={}", fmt::join(plan.backend.gpus, ",")));
    const Bounds bounds{plan.backend.cpus, plan.backend.replica_bound()};
    std::unique_ptr<ControlGroup> group = bound(bounds, spec);
    Result<std::unique_ptr<Process>> process = Process::start(loop_, spec);
    if (!process) return process.error();
    return std::unique_ptr<Instance>(std::make_unique<ProcessInstance>(
        std::move(access).value(), std::move(process).value(), std::move(group), bounds));
  }

  std::unique_ptr<ControlGroup> bound(const Bounds& bounds, ProcessSpec& spec) {
    if (!bounds.any()) return nullptr;
    Result<std::unique_ptr<ControlGroup>> group = ControlGroup::make(Root(), bounds);
    if (group) {
      spec.groups = (*group)->entrances();
      return std::move(group).value();
    }
    if (!std::exchange(told_, true)) {
      log::warn("no control group for engines (" + group.error().message +
                "): memory is bounded by RLIMIT_DATA, and cpus is rounded up to whole processors");
    }
    spec.data_limit = bounds.memory;
    spec.processors = static_cast<int>(std::ceil(bounds.cpus));
    return nullptr;
  }

  boost::asio::io_context& loop_;
  bool told_ = false;
};

}  // namespace

std::unique_ptr<Launcher> make_process_launcher(boost::asio::io_context& loop) {
  return std::make_unique<ProcessLauncher>(loop);
}

}  // namespace spillway::fleet
