// Which Replica speaks for a Backend, and how one that is no longer wanted ends:
//
//   current   what the Config asks for; on_change tells of it
//   previous  the same model under the settings before: answers, and is told of, until current is
//             ready or it fails itself, so that a reload leaves no gap
//   retired   answers only what was begun; on_change is silent about it. It is stopped when its last
//             lease is given back, when the drain time-out is over, or when it fails
#include "fleet/fleet.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"
#include "fleet/hardware/processor.h"
#include "fleet/launcher/process_launcher.h"
#include "fleet/memory_book.h"
#include "fleet/plan.h"
#include "fleet/replica.h"

namespace spillway::fleet {

namespace {

// The way back to the loop for leases, which may be given back on any thread and at any time, also
// when Fleet and loop are gone.
template <class Target>
struct Gate {
  Mutex mutex;
  boost::asio::io_context* loop SPILLWAY_GUARDED_BY(mutex) = nullptr;  // null: closed
  Target* target = nullptr;                                            // only on the loop's thread; null: closed

  template <class Call>
  static void post(const std::shared_ptr<Gate>& gate, Call call) {
    const MutexLock lock(gate->mutex);
    if (gate->loop == nullptr) return;
    boost::asio::post(*gate->loop, [gate, call = std::move(call)] {
      if (gate->target != nullptr) call(*gate->target);
    });
  }

  void close() {
    const MutexLock lock(mutex);
    loop = nullptr;
    target = nullptr;
  }
};

// One engine, with what its end depends on.
struct Slot {
  Slot(boost::asio::io_context& loop, std::uint64_t number) : id(number), drain_timer(loop) {}

  std::uint64_t id;
  std::unique_ptr<Replica> replica;
  std::shared_ptr<const void> lease;  // given up when it is retired
  boost::asio::steady_timer drain_timer;
};

struct Local {
  std::unique_ptr<Slot> current;  // null: of a Model that is not loaded
  std::unique_ptr<Slot> previous;
  ReplicaPlan plan;  // of what is to run, or would be loaded

  [[nodiscard]] const Slot& serving() const { return previous ? *previous : *current; }
};

bool in_container(const ReplicaPlan& plan) { return plan.backend.launcher == "docker"; }

ReplicaStatus unloaded(const ReplicaPlan& plan) {
  ReplicaStatus out;
  out.backend = plan.backend.name;
  out.model = plan.backend.model;
  out.state = ReplicaStatus::State::kUnloaded;
  out.memory = plan.memory;
  return out;
}

ReplicaStatus status_of(const Slot& slot) {
  ReplicaStatus out = slot.replica->status();
  if (out.state == ReplicaStatus::State::kReady) out.lease = slot.lease;
  return out;
}

}  // namespace

struct Fleet::State {
  State(boost::asio::io_context& io, Options given) : loop(io), options(std::move(given)) {
    gate->loop = &loop;
    gate->target = this;
    if (!options.on_change) options.on_change = [](const ReplicaStatus&) {};
  }

  Launcher& launcher_of(const ReplicaPlan& plan) { return in_container(plan) ? *options.containers : *processes; }
  [[nodiscard]] Result<std::vector<ReplicaPlan>> plan(const config::Config& config) const;
  // Of what runs in containers.
  [[nodiscard]] Status take_charge(const std::vector<ReplicaPlan>& plans) const;
  std::unique_ptr<Slot> start(const ReplicaPlan& plan);
  void fulfil(const ReplicaPlan& plan);
  void rename(const std::vector<ReplicaPlan>& plans);
  void replace(Local& local, const ReplicaPlan& plan);
  void remove_unwanted(const std::vector<ReplicaPlan>& plans);
  void load(const std::string& backend);
  void take_over(const std::string& backend);
  enum class Until { kDrained, kForever };  // a drain time-out ends what is still being answered
  void retire(std::unique_ptr<Slot> slot, Until until = Until::kDrained);
  void handle_change(std::uint64_t id);
  void handle_release(std::uint64_t id);
  static bool makes_way(const Local& local);
  void report(const std::string& backend);
  void end_if_stopped();

  boost::asio::io_context& loop;
  Options options;
  std::unique_ptr<Launcher> processes = make_process_launcher(loop);
  std::shared_ptr<Gate<State>> gate = std::make_shared<Gate<State>>();
  MemoryBook book{options.data / "memory.json"};
  std::map<std::string, Local> locals;
  std::vector<std::unique_ptr<Slot>> retired;
  std::uint64_t last_id = 0;
  milliseconds drain_timeout{0};
  bool stopping = false;
  std::vector<std::function<void()>> on_stopped;
};

Result<std::vector<ReplicaPlan>> Fleet::State::plan(const config::Config& config) const {
  Result<std::vector<ReplicaPlan>> plans = make_plan(config, options.data, options.environment);
  if (!plans || options.containers != nullptr) return plans;
  for (const ReplicaPlan& one : *plans) {
    if (in_container(one)) {
      return Error{ErrorCode::kNotFound,
                   "backend \"" + one.backend.name + "\": there is no Docker engine for launcher = \"docker\"",
                   "name its socket in DOCKER_HOST, as in unix:///var/run/docker.sock"};
    }
  }
  return plans;
}

Status Fleet::State::take_charge(const std::vector<ReplicaPlan>& plans) const {
  if (std::ranges::none_of(plans, in_container)) return {};
  return options.containers->take_charge();
}

std::unique_ptr<Slot> Fleet::State::start(const ReplicaPlan& plan) {
  const std::uint64_t id = ++last_id;
  auto slot = std::make_unique<Slot>(loop, id);
  slot->lease = std::shared_ptr<const void>(static_cast<const void*>(slot.get()), [way = gate, id](const void*) {
    Gate<State>::post(way, [id](State& state) { state.handle_release(id); });
  });
  slot->replica = std::make_unique<Replica>(loop, launcher_of(plan), plan, options.probe, Supervisor::Timing{},
                                            [this, id] { handle_change(id); });
  // By the name that it has then: rename().
  if (options.work) {
    slot->replica->set_work(
        [this, replica = slot->replica.get()] { return options.work(replica->plan().backend.name); });
  }
  slot->replica->on_measured([this](const ReplicaPlan& ran, const MemoryUse& memory) {
    if (Status noted = book.note(ran.model.digest, *ran.shape, memory); !noted) log::warn(noted.error().message);
  });
  slot->replica->start();
  return slot;
}

// Where a Backend gets its first further Replica, or loses the last, its engine is known by another name from now on
// ("local", "local/1"): it goes on running. A container bears its name.
void Fleet::State::rename(const std::vector<ReplicaPlan>& plans) {
  const auto is_wanted = [&](const std::string& name) {
    return std::ranges::any_of(plans, [&](const ReplicaPlan& plan) { return plan.backend.name == name; });
  };
  for (const ReplicaPlan& plan : plans) {
    const std::string& name = plan.backend.name;
    if (locals.contains(name) || in_container(plan) || plan.backend.spare || plan.backend.takes_turns()) continue;
    const auto found = std::ranges::find_if(locals, [&](const auto& entry) {
      const auto& [old_name, local] = entry;
      return local.current && !local.previous && local.current->replica->runs() && !is_wanted(old_name) &&
             local.plan.backend.public_name() == plan.backend.public_name() &&
             same_run(local.current->replica->plan(), plan);
    });
    if (found == locals.end()) continue;
    log::info(found->first + ": its engine goes on as " + name);
    auto node = locals.extract(found);
    node.key() = name;
    locals.insert(std::move(node));
  }
}

void Fleet::State::fulfil(const ReplicaPlan& plan) {
  Local& local = locals[plan.backend.name];
  const ReplicaPlan before = std::exchange(local.plan, plan);
  if (!local.current && !plan.backend.on_demand()) {
    local.current = start(plan);
    return;
  }
  if (!local.current) {
    Gate<State>::post(gate, [name = plan.backend.name](State& state) { state.report(name); });
    return;
  }
  if (plan.backend.on_demand() && !same_run(before, plan)) {
    log::info(plan.backend.name + ": its settings have changed; it is loaded anew when it is asked for");
    retire(std::move(local.current), Until::kForever);
    report(plan.backend.name);
    return;
  }
  if (!same_run(local.current->replica->plan(), plan)) {
    replace(local, plan);
    return;
  }
  local.current->replica->adopt(plan);
  // Whoever made a new object for this Backend has to hear how it is.
  Gate<State>::post(gate, [name = plan.backend.name](State& state) { state.report(name); });
}

void Fleet::State::replace(Local& local, const ReplicaPlan& plan) {
  log::info(plan.backend.name + ": its settings have changed; starting another engine beside the old one");
  if (local.current->replica->ready()) std::swap(local.current, local.previous);
  if (local.current) retire(std::move(local.current));
  if (local.previous && !same_model(local.previous->replica->plan(), plan)) retire(std::move(local.previous));
  local.current = start(plan);
}

void Fleet::State::remove_unwanted(const std::vector<ReplicaPlan>& plans) {
  for (auto it = locals.begin(); it != locals.end();) {
    const std::string& name = it->first;
    if (std::ranges::any_of(plans, [&](const ReplicaPlan& plan) { return plan.backend.name == name; })) {
      ++it;
      continue;
    }
    ReplicaStatus gone = it->second.current ? it->second.current->replica->status() : unloaded(it->second.plan);
    gone.state = ReplicaStatus::State::kStopped;
    gone.port = 0;
    gone.key.clear();
    Gate<State>::post(gate, [gone](State& state) {
      if (!state.locals.contains(gone.backend)) state.options.on_change(gone);
    });
    if (it->second.current) retire(std::move(it->second.current));
    if (it->second.previous) retire(std::move(it->second.previous));
    it = locals.erase(it);
  }
}

void Fleet::State::load(const std::string& backend) {
  const auto found = locals.find(backend);
  if (found == locals.end() || found->second.current || stopping) return;
  found->second.current = start(found->second.plan);
  report(backend);
}

// A standby that an earlier gateway had started: it was wanted then. Others that it had are started anyway.
void Fleet::State::take_over(const std::string& backend) {
  const auto found = locals.find(backend);
  if (found != locals.end() && found->second.plan.backend.spare) load(backend);
}

void Fleet::State::retire(std::unique_ptr<Slot> slot, Until until) {
  if (slot->replica->ready() && until == Until::kForever) {
    // Its lease alone ends it.
  } else if (slot->replica->ready()) {
    slot->drain_timer.expires_after(drain_timeout);
    slot->drain_timer.async_wait([way = gate, id = slot->id](const boost::system::error_code& error) {
      if (!error && way->target != nullptr) way->target->handle_release(id);
    });
  } else {
    slot->replica->stop();
  }
  slot->lease.reset();  // the last one, when nothing is being answered
  retired.push_back(std::move(slot));
}

void Fleet::State::handle_release(std::uint64_t id) {
  for (const std::unique_ptr<Slot>& slot : retired) {
    if (slot->id == id) slot->replica->stop();
  }
}

void Fleet::State::handle_change(std::uint64_t id) {
  const auto found = std::ranges::find(retired, id, [](const auto& slot) { return slot->id; });
  if (found != retired.end()) {
    if ((*found)->replica->ended()) {
      retired.erase(found);
    } else if (!(*found)->replica->ready()) {
      (*found)->replica->stop();  // it failed, and nobody needs it again
    }
  }
  for (auto& [name, local] : locals) {
    const bool concerned = (local.current && local.current->id == id) || (local.previous && local.previous->id == id);
    if (!concerned) continue;
    if (local.previous && (local.current->replica->ready() || !local.previous->replica->ready() || makes_way(local))) {
      retire(std::move(local.previous));
    }
    report(name);
    break;
  }
  end_if_stopped();
}

// Beside the old one there may be no room for the new: the old one goes first where that makes enough.
bool Fleet::State::makes_way(const Local& local) {
  if (!local.current->replica->lacks_memory()) return false;
  const std::uint64_t room = memory_for_engines(true) + local.previous->replica->status().memory.total();
  return check_room(local.current->replica->plan(), room, "").ok();
}

void Fleet::State::report(const std::string& backend) {
  const auto found = locals.find(backend);
  if (found == locals.end()) return;
  const Local& local = found->second;
  options.on_change(local.current ? status_of(local.serving()) : unloaded(local.plan));
}

void Fleet::State::end_if_stopped() {
  if (!stopping || !retired.empty()) return;
  if (!std::ranges::all_of(
          locals, [](const auto& entry) { return !entry.second.current || entry.second.current->replica->ended(); }))
    return;
  for (const auto& done : std::exchange(on_stopped, {})) done();
}

Fleet::Fleet(boost::asio::io_context& loop, Options options)
    : state_(std::make_unique<State>(loop, std::move(options))) {}

Fleet::~Fleet() { state_->gate->close(); }

Status Fleet::check(const config::Config& config) const {
  const Result<std::vector<ReplicaPlan>> plans = state_->plan(config);
  if (!plans) return plans.error();
  return state_->take_charge(*plans);
}

Status Fleet::apply(const config::Config& config) {
  if (state_->stopping) return Error{ErrorCode::kUnavailable, "the local engines are being stopped"};
  const Result<std::vector<ReplicaPlan>> plans = state_->plan(config);
  if (!plans) return plans.error();
  if (Status ours = state_->take_charge(*plans); !ours) return ours;
  state_->drain_timeout = config.server.drain_timeout;
  state_->rename(*plans);
  state_->remove_unwanted(*plans);
  std::set<std::string> contained;
  for (const ReplicaPlan& plan : *plans) {
    if (in_container(plan) && !plan.backend.takes_turns()) contained.insert(plan.backend.name);
  }
  if (state_->options.containers) {
    state_->options.containers->keep_only(contained, [way = state_->gate](const std::string& backend) {
      Gate<State>::post(way, [backend](State& state) { state.take_over(backend); });
    });
  }
  for (const ReplicaPlan& plan : *plans) state_->fulfil(plan);
  return {};
}

void Fleet::load(const std::string& backend) { state_->load(backend); }

void Fleet::unload(const std::string& backend) {
  const auto found = state_->locals.find(backend);
  if (found == state_->locals.end() || !found->second.current || state_->stopping) return;
  log::info(backend + ": making way");
  std::unique_ptr<Slot> slot = std::move(found->second.current);
  state_->report(backend);
  state_->retire(std::move(slot), State::Until::kForever);
}

std::optional<Fleet::Usage> Fleet::usage(const std::string& backend) const {
  const auto found = state_->locals.find(backend);
  if (found == state_->locals.end() || !found->second.current) return std::nullopt;
  const Replica& replica = *found->second.serving().replica;
  if (!replica.ready()) return std::nullopt;
  const ReplicaPlan& plan = replica.plan();
  Usage out{replica.processor_time(), plan.backend.cpus};
  if (out.processors <= 0) out.processors = std::max(plan.backend.engine_threads, plan.threads);
  if (out.processors <= 0) out.processors = read_processor(Root()).usable();
  return out;
}

std::vector<ReplicaStatus> Fleet::status() const {
  std::vector<ReplicaStatus> out;
  for (const auto& [name, local] : state_->locals)
    out.push_back(local.current ? status_of(local.serving()) : unloaded(local.plan));
  const auto add_other = [&out](const Slot& slot) {
    out.push_back(status_of(slot));
    out.back().serving = false;
  };
  for (const auto& [name, local] : state_->locals) {
    if (local.previous) add_other(*local.current);
  }
  for (const std::unique_ptr<Slot>& slot : state_->retired) add_other(*slot);
  return out;
}

void Fleet::stop(std::function<void()> done) {
  state_->stopping = true;
  state_->on_stopped.push_back(std::move(done));
  for (auto& [name, local] : state_->locals) {
    if (local.previous) state_->retire(std::move(local.previous));
    if (local.current) local.current->replica->stop();
  }
  for (const std::unique_ptr<Slot>& slot : state_->retired) slot->replica->stop();
  Gate<State>::post(state_->gate, [](State& state) { state.end_if_stopped(); });
}

}  // namespace spillway::fleet
