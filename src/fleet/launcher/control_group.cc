#include "fleet/launcher/control_group.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"
#include "fleet/hardware/own_groups.h"

namespace spillway::fleet {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kPeriodMicros = 100'000;  // the kernel's default
constexpr std::string_view kEngines = "spillway.engine.";
constexpr std::string_view kGateway = "spillway.gateway";
constexpr std::string_view kUnified = "/sys/fs/cgroup";

Status write_to(const Root& root, const std::string& path, const std::string& text) {
  const fs::path file = root.at(path);
  const int made = root.live() ? 0 : O_CREAT;  // in the kernel's folders they are there
  const FileDescriptor fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC | made, 0644));
  if (!fd.valid()) return system_error("cannot open", file, errno);
  if (::write(fd.get(), text.data(), text.size()) < 0) return system_error("cannot write", file, errno);
  return {};
}

Status make_folder(const Root& root, const std::string& path) {
  std::error_code ec;
  fs::create_directory(root.at(path), ec);
  return ec ? Status(system_error("cannot make", root.at(path), ec.value())) : Status();
}

// Groups of ours that could not be removed yet: what an engine started may take a moment to die.
std::vector<fs::path>& not_yet_removed() {
  static std::vector<fs::path> list;
  return list;
}

void remove_group(const fs::path& folder) {
  std::vector<fs::path>& list = not_yet_removed();
  list.push_back(folder);
  std::erase_if(list, [](const fs::path& each) { return ::rmdir(each.c_str()) == 0 || errno != EBUSY; });
}

// Those of processes that are gone: their engines went with them.
void remove_leftovers(const Root& root, const std::string& parent) {
  for (const std::string& name : root.names(parent)) {
    if (!name.starts_with(kEngines)) continue;
    const auto pid = leading_number(std::string_view(name).substr(kEngines.size()));
    if (pid && ::kill(static_cast<pid_t>(*pid), 0) != 0 && errno == ESRCH)
      ::rmdir(root.at(parent + "/" + name).c_str());
  }
}

std::string new_name() {
  static std::atomic<std::uint64_t> count{0};
  return fmt::format("{}{}.{}", kEngines, ::getpid(), ++count);
}

// The folder below which groups may be made. The mount shows a part of the tree only, where it is a container's.
std::string parent_folder(const Root& root, const std::string& mount, std::string_view controller) {
  std::string group = group_of(root, controller);
  if (group.ends_with("/" + std::string(kGateway))) group.erase(group.rfind('/'));
  const std::string folder = group == "/" ? mount : mount + group;
  std::error_code ec;
  return fs::is_directory(root.at(folder), ec) ? folder : mount;
}

std::uint64_t quota(double cpus) {
  return std::max<std::uint64_t>(1'000, static_cast<std::uint64_t>(cpus * static_cast<double>(kPeriodMicros)));
}

// Lets groups below `parent` be bounded, which wants it to be empty of processes.
Status enable_unified(const Root& root, const std::string& parent, const Bounds& bounds) {
  std::string wanted;
  const std::string enabled = " " + root.line(parent + "/cgroup.subtree_control") + " ";
  if (bounds.memory > 0 && enabled.find(" memory ") == std::string::npos) wanted += "+memory ";
  if (bounds.cpus > 0 && enabled.find(" cpu ") == std::string::npos) wanted += "+cpu ";
  if (wanted.empty()) return {};
  wanted.pop_back();
  if (write_to(root, parent + "/cgroup.subtree_control", wanted).ok()) return {};
  const std::string gateway = parent + "/" + std::string(kGateway);
  if (Status made = make_folder(root, gateway); !made) return made;
  if (Status moved = write_to(root, gateway + "/cgroup.procs", std::to_string(::getpid())); !moved) return moved;
  return write_to(root, parent + "/cgroup.subtree_control", wanted);
}

}  // namespace

Result<std::unique_ptr<ControlGroup>> ControlGroup::make(const Root& root, const Bounds& bounds) {
  std::unique_ptr<ControlGroup> out(new ControlGroup(root));  // the constructor is private
  const std::string name = new_name();
  const auto add = [&](const std::string& parent) -> Result<std::string> {
    remove_leftovers(root, parent);
    const std::string folder = parent + "/" + name;
    if (Status made = make_folder(root, folder); !made) return made.error();
    out->folders_.push_back(folder);
    return folder;
  };
  Status written;
  const auto set = [&](const std::string& file, const std::string& text) {
    if (written.ok()) written = write_to(root, file, text);
  };

  const std::string unified(kUnified);
  if (!root.line(unified + "/cgroup.controllers").empty()) {
    const std::string parent = parent_folder(root, unified, "");
    if (Status enabled = enable_unified(root, parent, bounds); !enabled) return enabled.error();
    const Result<std::string> folder = add(parent);
    if (!folder) return folder.error();
    if (bounds.cpus > 0) set(*folder + "/cpu.max", fmt::format("{} {}", quota(bounds.cpus), kPeriodMicros));
    if (bounds.memory > 0) {
      out->memory_ = *folder;
      set(*folder + "/memory.max", std::to_string(bounds.memory));
      set(*folder + "/memory.oom.group", "1");
      static_cast<void>(write_to(root, *folder + "/memory.swap.max", "0"));  // not where there is no swap
    }
  } else {
    if (bounds.memory > 0) {
      const Result<std::string> folder = add(parent_folder(root, unified + "/memory", "memory"));
      if (!folder) return folder.error();
      out->memory_ = *folder;
      set(*folder + "/memory.limit_in_bytes", std::to_string(bounds.memory));
      static_cast<void>(write_to(root, *folder + "/memory.memsw.limit_in_bytes", std::to_string(bounds.memory)));
    }
    if (bounds.cpus > 0) {
      const Result<std::string> folder = add(parent_folder(root, unified + "/cpu", "cpu"));
      if (!folder) return folder.error();
      set(*folder + "/cpu.cfs_period_us", std::to_string(kPeriodMicros));
      set(*folder + "/cpu.cfs_quota_us", std::to_string(quota(bounds.cpus)));
    }
  }
  if (!written) return written.error();
  return out;
}

ControlGroup::~ControlGroup() {
  for (const std::string& folder : folders_) remove_group(root_.at(folder));
}

std::vector<fs::path> ControlGroup::entrances() const {
  std::vector<fs::path> out;
  for (const std::string& folder : folders_) out.push_back(root_.at(folder + "/cgroup.procs"));
  return out;
}

bool ControlGroup::out_of_memory() const {
  if (memory_.empty()) return false;
  for (const char* file : {"/memory.events", "/memory.oom_control"}) {  // of version 2, 1
    const Result<std::string> text = root_.text(memory_ + file);
    if (!text) continue;
    for (const std::string_view line : lines_of(*text)) {
      const std::vector<std::string_view> words = words_of(line);
      if (words.size() == 2 && words[0] == "oom_kill") return leading_number(words[1]).value_or(0) > 0;
    }
  }
  return false;
}

}  // namespace spillway::fleet
