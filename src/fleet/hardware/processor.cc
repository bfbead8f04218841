#include "fleet/hardware/processor.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/text.h"
#include "fleet/hardware/own_groups.h"

namespace spillway::fleet {

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kNoLimit = std::uint64_t{1} << 60;  // version 1 tells "none" as nearly 2^63

// "a : b" lines of /proc/cpuinfo and /proc/meminfo.
std::string_view value_of(std::string_view line, std::string_view key) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || trim(line.substr(0, colon)) != key) return {};
  return trim(line.substr(colon + 1));
}

std::vector<std::string> simd_of(std::string_view flags) {
  constexpr std::array<std::string_view, 8> kKnown{"avx2",        "fma",      "f16c",     "avx512f",
                                                   "avx512_vnni", "avx_vnni", "amx_tile", "asimd"};
  std::vector<std::string> out;
  const std::vector<std::string_view> words = words_of(flags);
  for (const std::string_view known : kKnown) {
    if (std::ranges::find(words, known) != words.end()) out.emplace_back(known);
  }
  return out;
}

double read_quota(const Root& root) {
  double quota = 0;
  const auto narrow = [&quota](double cores) {
    if (cores > 0 && (quota == 0 || cores < quota)) quota = cores;
  };
  for (const std::string& folder : group_folders("/sys/fs/cgroup", group_of(root, ""))) {
    const std::string line = root.line(folder + "/cpu.max");
    const std::vector<std::string_view> words = words_of(line);
    if (words.size() != 2) continue;
    const auto allowed = leading_number(words[0]);
    const auto period = leading_number(words[1]);
    if (allowed && period && *period > 0) narrow(static_cast<double>(*allowed) / static_cast<double>(*period));
  }
  for (const std::string& folder : group_folders("/sys/fs/cgroup/cpu", group_of(root, "cpu"))) {
    const auto allowed = root.number(folder + "/cpu.cfs_quota_us");
    const auto period = root.number(folder + "/cpu.cfs_period_us");
    if (allowed && period && *period > 0) narrow(static_cast<double>(*allowed) / static_cast<double>(*period));
  }
  return quota;
}

// Page cache that a group can give back counts as free.
void read_limit(const Root& root, MainMemory& memory) {
  struct Names {
    std::string mount;
    std::string controller;
    std::string limit;
    std::string usage;
    std::string cache;
  };
  const std::array<Names, 2> versions{
      {{"/sys/fs/cgroup", "", "memory.max", "memory.current", "inactive_file"},
       {"/sys/fs/cgroup/memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}}};
  for (const Names& names : versions) {
    for (const std::string& folder : group_folders(names.mount, group_of(root, names.controller))) {
      const auto limit = root.number(folder + "/" + names.limit);
      if (!limit || *limit >= kNoLimit || (memory.limit != 0 && *limit >= memory.limit)) continue;
      std::uint64_t used = root.number(folder + "/" + names.usage).value_or(0);
      if (const Result<std::string> stat = root.text(folder + "/memory.stat"); stat) {
        for (const std::string_view line : lines_of(*stat)) {
          const std::vector<std::string_view> words = words_of(line);
          if (words.size() == 2 && words[0] == names.cache)
            used -= std::min(used, leading_number(words[1]).value_or(0));
        }
      }
      memory.limit = *limit;
      memory.limit_left = *limit - std::min(*limit, used);
    }
  }
}

}  // namespace

double Processor::usable() const {
  const double all = cores > 0 ? cores : threads;
  return quota > 0 ? std::min(quota, all) : all;
}

std::uint64_t MainMemory::usable() const { return limit > 0 ? std::min(limit, total) : total; }

std::uint64_t MainMemory::free_now() const { return limit > 0 ? std::min(limit_left, available) : available; }

Processor read_processor(const Root& root) {
  Processor out;
  if (const Result<std::string> text = root.text("/proc/cpuinfo"); text) {
    std::set<std::pair<std::string, std::string>> cores;  // package and core
    std::string package;
    for (const std::string_view line : lines_of(*text)) {
      if (!value_of(line, "processor").empty()) ++out.threads;
      if (const std::string_view value = value_of(line, "model name"); out.model.empty() && !value.empty())
        out.model = value;
      if (const std::string_view value = value_of(line, "physical id"); !value.empty()) package = value;
      if (const std::string_view value = value_of(line, "core id"); !value.empty()) cores.emplace(package, value);
      for (const std::string_view key : {"flags", "Features"}) {
        if (const std::string_view value = value_of(line, key); out.simd.empty() && !value.empty())
          out.simd = simd_of(value);
      }
    }
    out.cores = static_cast<int>(cores.size());
  }
  int nodes = 0;
  for (const std::string& name : root.names("/sys/devices/system/node")) {
    nodes += name.starts_with("node") && leading_number(std::string_view(name).substr(4)) ? 1 : 0;
  }
  out.numa_nodes = std::max(nodes, 1);
  out.quota = read_quota(root);
  return out;
}

MainMemory read_memory(const Root& root) {
  MainMemory out;
  if (const Result<std::string> text = root.text("/proc/meminfo"); text) {
    const std::map<std::string_view, std::uint64_t*> wanted{
        {"MemTotal", &out.total}, {"MemAvailable", &out.available}, {"SwapTotal", &out.swap}};
    for (const std::string_view line : lines_of(*text)) {
      const auto found = wanted.find(trim(line.substr(0, line.find(':'))));
      if (found != wanted.end()) *found->second = leading_number(value_of(line, found->first)).value_or(0) * kKiB;
    }
  }
  read_limit(root, out);
  return out;
}

}  // namespace spillway::fleet
