#include "fleet/hardware/tier.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "fleet/models/memory.h"

namespace spillway::fleet {

namespace {

constexpr double kGb = 1e9;
// A machine sold with 32 GB tells of less: firmware and kernel have their part.
constexpr double kSold = 0.93;
constexpr std::uint64_t kSystem = 1ull << 30;        // for the system and Spillway itself
constexpr std::uint64_t kGpuReserve = 700ull << 20;  // a driver's context, and what fragments
constexpr std::uint64_t kUsefulContext = 8192;       // tokens: a question with a few pages
constexpr double kOverhead = 1.03;      // of a file over its parameters: norms, scales of small tensors, names
constexpr double kComputeShare = 0.02;  // of the weights, to compute in
constexpr std::uint64_t kLeastCompute = 64ull << 20;
// Of the memory's rate, what one answer's tokens reach: 0.5 to 0.8 are measured on GPUs, less on CPUs.
constexpr double kGpuEfficiency = 0.65;
constexpr double kCpuEfficiency = 0.55;
// Multiplications and additions a second that one core of today does for a token at 4 bits a weight: measured with
// llama.cpp v0.5.0 (AVX2) on a model of 135 M parameters, 124 tokens a second on two cores, 2026-11-27.
constexpr double kCoreFlops = 17e9;
constexpr double kUsefulSpeed = 10;     // tokens a second: about as fast as one reads
constexpr double kLargeGpu = 39 * kGb;  // an A100 of 40 GB tells 42.9e9 bytes, an L40S 48e9
constexpr double kSmallGpu = 15 * kGb;  // a T4 tells 15.8e9

struct Quantization {
  std::string_view name;
  double bits;  // a weight, scales included
};
// The best first. Sources: llama.cpp's quantize tool (bits per weight of an 8B model).
constexpr std::array<Quantization, 5> kQuantizations{
    {{"F16", 16}, {"Q8_0", 8.5}, {"Q6_K", 6.57}, {"Q4_K_M", 4.89}, {"Q3_K_M", 4.0}}};

struct Needs {
  HardwareTier tier;
  double cores;
  double memory;  // bytes
  std::size_t gpus;
  double gpu_memory;  // bytes of each
};
constexpr std::array<Needs, 3> kNeeds{{{HardwareTier::kBasic, 8, 32 * kGb, 1, kSmallGpu},
                                       {HardwareTier::kStandard, 16, 64 * kGb, 1, kLargeGpu},
                                       {HardwareTier::kEnterprise, 32, 128 * kGb, 2, kLargeGpu}}};

std::string gb(double bytes) { return fmt::format("{:.{}f} GB", bytes / kGb, bytes < 10 * kGb ? 1 : 0); }

std::string missing_for(const Machine& machine, const Needs& needs) {
  std::string out;
  const auto add = [&out](const std::string& what) { out += (out.empty() ? "" : ", ") + what; };
  const double cores = machine.processor.usable();
  const auto memory = static_cast<double>(machine.memory.usable());
  const auto gpus = static_cast<std::size_t>(std::ranges::count_if(
      machine.gpus, [&](const Gpu& gpu) { return static_cast<double>(gpu.memory) >= needs.gpu_memory; }));
  if (cores < needs.cores) add(fmt::format("{:.0f} cores (here: {:g})", needs.cores, cores));
  if (memory < kSold * needs.memory) add(gb(needs.memory) + " of memory (here: " + gb(memory) + ")");
  if (gpus < needs.gpus) {
    add(fmt::format("{} of {} (here: {})", needs.gpus == 1 ? "a GPU" : fmt::format("{} GPUs", needs.gpus),
                    needs.gpu_memory < kLargeGpu ? "16 GB, as a T4" : "40 GB, as an A100", gpus));
  }
  return out;
}

// Where weights can be, the fastest first.
struct Place {
  std::string name;
  std::uint64_t room = 0;  // bytes
  double rate = 0;         // GB/s
  double efficiency = 0;
  double flops = 0;  // a second; 0: more than the memory's rate lets use
};

std::vector<Place> places_of(const Machine& machine) {
  std::vector<Place> out;
  std::uint64_t all = 0;
  std::uint64_t largest = 0;
  double rate = 0;
  double slowest = 0;
  for (const Gpu& gpu : machine.gpus) {
    const std::uint64_t room = gpu.memory - std::min(gpu.memory, kGpuReserve);
    all += room;
    if (room > largest) {
      largest = room;
      rate = gpu.bandwidth;
    }
    slowest = slowest == 0 ? gpu.bandwidth : std::min(slowest, gpu.bandwidth);
  }
  if (largest > 0) out.push_back({"GPU", largest, rate, kGpuEfficiency});
  // Layers are spread: each GPU reads its own part, one after the other.
  if (machine.gpus.size() > 1)
    out.push_back({fmt::format("{} GPUs", machine.gpus.size()), all, slowest, kGpuEfficiency});
  const std::uint64_t usable = machine.memory.usable();
  if (usable > kSystem)
    out.push_back(
        {"CPU", usable - kSystem, machine.memory_rate, kCpuEfficiency, machine.processor.usable() * kCoreFlops});
  return out;
}

// Tokens a second of one answer; `bytes` are read and `parameters` used for each. 0: not known.
double speed(const Place& place, double bytes, double parameters) {
  if (place.rate == 0 || bytes <= 0) return 0;
  const double by_memory = place.rate * 1e9 * place.efficiency / bytes;
  return place.flops == 0 || parameters <= 0 ? by_memory : std::min(by_memory, place.flops / (2 * parameters));
}

std::uint64_t compute_of(double weights) {
  return std::max(kLeastCompute, static_cast<std::uint64_t>(weights * kComputeShare));
}

// Of one candidate at one quantization in one place.
std::optional<Fit> try_fit(const Candidate& model, const Quantization& quantization, const Place& place) {
  const double weights = model.parameters * 1e9 * quantization.bits / 8 * kOverhead;
  const std::uint64_t fixed = static_cast<std::uint64_t>(weights) + compute_of(weights);
  if (fixed > place.room) return std::nullopt;
  const std::uint64_t tokens =
      model.cache_per_token == 0 ? model.longest_context : (place.room - fixed) / model.cache_per_token;
  const std::uint64_t context = std::min(tokens / 1024 * 1024, model.longest_context);
  if (context < std::min(kUsefulContext, model.longest_context)) return std::nullopt;
  Fit out;
  out.model = model.name;
  out.fits = true;
  out.quantization = quantization.name;
  out.where = place.name;
  out.context = context;
  out.memory = fixed + context * model.cache_per_token;
  out.tokens_per_second = speed(place, model.active * 1e9 * quantization.bits / 8, model.active * 1e9);
  out.why = fmt::format("{} of {}", gb(static_cast<double>(out.memory)), gb(static_cast<double>(place.room)));
  return out;
}

// The best that is fast enough to be read along; where none is, four bits, which cost little quality.
std::optional<Fit> best_fit(const Candidate& model, const Place& place) {
  std::optional<Fit> usual;
  std::optional<Fit> any;
  for (const Quantization& quantization : kQuantizations) {
    const std::optional<Fit> fit = try_fit(model, quantization, place);
    if (!fit) continue;
    if (fit->tokens_per_second == 0 || fit->tokens_per_second >= kUsefulSpeed) return fit;
    if (!any) any = fit;
    if (quantization.name == "Q4_K_M") usual = fit;
  }
  return usual ? usual : any;
}

Fit fit_candidate(const std::vector<Place>& places, const Candidate& model) {
  for (const Place& place : places) {
    if (std::optional<Fit> fit = best_fit(model, place)) return *fit;
  }
  const double least = model.parameters * 1e9 * kQuantizations.back().bits / 8 * kOverhead +
                       static_cast<double>(std::min(kUsefulContext, model.longest_context) * model.cache_per_token);
  std::uint64_t most = 0;
  for (const Place& place : places) most = std::max(most, place.room);
  Fit out;
  out.model = model.name;
  out.memory = static_cast<std::uint64_t>(least);
  out.why = fmt::format("needs {} at {}, there is room for {}", gb(least), kQuantizations.back().name,
                        gb(static_cast<double>(most)));
  return out;
}

using Severity = Finding::Severity;

void judge_storage(const Machine& machine, std::vector<Finding>& out) {
  bool mirrored = false;
  for (const Raid& raid : machine.raids) {
    if (raid.degraded() || !raid.active) {
      std::string failed;
      for (const std::string& member : raid.members) {
        if (member.ends_with("(F)")) failed += (failed.empty() ? "" : ", ") + member.substr(0, member.size() - 3);
      }
      out.push_back(
          {Severity::kProblem,
           fmt::format("{} ({}) {}: {} of {} disks work{}{}", raid.device, raid.level,
                       raid.active ? "is degraded" : "is not active", raid.working, raid.wanted,
                       failed.empty() ? "" : "; failed: " + failed, raid.rebuild.empty() ? "" : "; " + raid.rebuild),
           raid.rebuild.empty() ? fmt::format("put a new disk in: mdadm --manage /dev/{} --add /dev/NEW", raid.device)
                                : "wait for the rebuild to end; until then another failure loses data"});
    }
    mirrored =
        mirrored || raid.level == "raid10" || raid.level == "raid1" || raid.level == "raid6" || raid.level == "raid5";
    if (raid.level == "raid0" || raid.level == "linear") {
      out.push_back({Severity::kWarning, raid.device + " is " + raid.level + ": any disk of it that fails loses all",
                     "make it RAID10, and pull the models again"});
    }
  }
  const bool ten = std::ranges::any_of(machine.raids, [](const Raid& raid) { return raid.level == "raid10"; });
  if (!mirrored) {
    out.push_back(
        {Severity::kWarning, "no RAID: one disk that fails takes the models and the service with it",
         "put models on a RAID10 of four disks: mdadm --create /dev/md0 --level=10 --raid-devices=4 /dev/DISK…"});
  } else if (!ten) {
    out.push_back({Severity::kWarning,
                   "the RAID is not RAID10: it is slow to write and to rebuild, or has two disks alone",
                   "a RAID10 of four disks loads models at twice the rate and rebuilds without reading all"});
  }
  for (const DriveHealth& drive : machine.drives) {
    if (!drive.healthy)
      out.push_back({Severity::kProblem, drive.device + ": " + drive.detail, "copy what is on it, and replace it"});
  }
  const Disk& disk = machine.disk;
  if (disk.size > 0 && disk.free < disk.size / 20) {
    out.push_back({Severity::kProblem,
                   fmt::format("the disk at {} is full but for {}", disk.folder, gb(static_cast<double>(disk.free))),
                   "remove models (`spillway rm`), or name another folder with --data"});
  }
}

void judge_power(const Machine& machine, std::vector<Finding>& out) {
  int working = 0;
  for (const PowerSupply& supply : machine.power_supplies) {
    working += supply.working ? 1 : 0;
    if (!supply.working) {
      out.push_back(
          {Severity::kProblem,
           "power supply " + supply.name + " does not work" + (supply.detail.empty() ? "" : ": " + supply.detail),
           "plug it in or replace it: until then the other is all there is"});
    }
  }
  if (machine.power_supplies.size() == 1 && working == 1) {
    out.push_back({Severity::kWarning, "one power supply", "add a second one, on another circuit"});
  }
}

void judge_gpus(const Machine& machine, std::vector<Finding>& out) {
  for (std::size_t i = 0; i < machine.gpus.size(); ++i) {
    const Gpu& gpu = machine.gpus[i];
    const std::string name = fmt::format("GPU {} ({})", i, gpu.name);
    if (gpu.ecc_errors.value_or(0) > 0) {
      out.push_back({Severity::kProblem, fmt::format("{}: {} uncorrected memory errors (ECC)", name, *gpu.ecc_errors),
                     "reset it (nvidia-smi -r -i " + std::to_string(i) + "); if they come again, replace it"});
    }
    if (!gpu.xids.empty()) {
      std::string list;
      for (const unsigned xid : gpu.xids) list += (list.empty() ? "" : ", ") + std::to_string(xid);
      out.push_back(
          {Severity::kProblem, name + ": errors in the kernel's log: Xid " + list,
           "look the numbers up in NVIDIA's Xid catalogue; 48, 63, 64, 74, 79, 94 and 95 mean the card itself"});
    }
    if (!gpu.throttled.empty()) {
      std::string list;
      for (const std::string& why : gpu.throttled) list += (list.empty() ? "" : ", ") + why;
      out.push_back({Severity::kWarning, name + " is held down: " + list,
                     "check its cooling and its power limit (nvidia-smi -q -d PERFORMANCE)"});
    }
  }
  if (machine.gpus.size() == 1) {
    out.push_back({Severity::kWarning, "one GPU: when it fails, its models stop",
                   "add a second one, or a cloud Backend behind it in each Route"});
  }
}

void judge_system(const Machine& machine, std::vector<Finding>& out) {
  if (machine.clock_synchronised == false) {
    out.push_back({Severity::kWarning, "the clock is not synchronised: certificates, budgets and logs go by it",
                   "start a time service: systemctl enable --now systemd-timesyncd, or chrony"});
  }
  constexpr std::uint64_t kFiles = 40'000;  // the default of limits.max_connections, both sides
  if (machine.open_files > 0 && machine.open_files < kFiles) {
    out.push_back({Severity::kWarning,
                   fmt::format("{} files may be open at once: too few for 20,000 connections", machine.open_files),
                   "raise the hard limit: LimitNOFILE=1048576 in the service, or /etc/security/limits.conf"});
  }
  const bool engine = std::ranges::any_of(
      machine.programs, [](const Program& program) { return !program.path.empty() && program.name != "docker"; });
  if (!machine.programs.empty() && !engine) {
    out.push_back({Severity::kProblem, "no engine: nothing can run a model here",
                   "run script/setup, or name a llama-server in SPILLWAY_LLAMA_SERVER"});
  }
  for (const Port& port : machine.ports) {
    if (!port.is_free)
      out.push_back({Severity::kWarning, port.address + " is taken" + port.detail,
                     "if that is not Spillway, name another server.listen or server.admin_listen"});
  }
}

}  // namespace

std::string_view to_string(HardwareTier tier) {
  switch (tier) {
    case HardwareTier::kCloudOnly: return "cloud-only";
    case HardwareTier::kDevice: return "device";
    case HardwareTier::kBasic: return "basic";
    case HardwareTier::kStandard: return "standard";
    case HardwareTier::kEnterprise: return "enterprise";
  }
  return "?";
}

TierVerdict tier_of(const Machine& machine) {
  const std::vector<Fit> fits = what_fits(machine);
  TierVerdict out;
  if (std::ranges::any_of(fits, &Fit::fits)) out.tier = HardwareTier::kDevice;
  out.missing = missing_for(machine, kNeeds.front());
  for (const Needs& needs : kNeeds) {
    out.missing = missing_for(machine, needs);
    if (!out.missing.empty()) break;
    out.tier = needs.tier;
  }
  return out;
}

// Caches per token: layers × heads of keys and values × width × 2 × 2 bytes, from the models' config.json.
const std::vector<Candidate>& catalogue() {
  static const std::vector<Candidate> kModels{{"SmolLM2 135M", 0.135, 0.135, 23'040, 8192},
                                              {"Llama 3.2 1B", 1.24, 1.24, 32'768, 131'072},
                                              {"Qwen2.5 1.5B", 1.54, 1.54, 28'672, 32'768},
                                              {"Llama 3.2 3B", 3.21, 3.21, 114'688, 131'072},
                                              {"Qwen2.5 7B", 7.62, 7.62, 57'344, 32'768},
                                              {"Llama 3.1 8B", 8.03, 8.03, 131'072, 131'072},
                                              {"Qwen3 14B", 14.8, 14.8, 163'840, 40'960},
                                              {"Qwen3 30B-A3B", 30.5, 3.3, 98'304, 40'960},
                                              {"Qwen2.5 32B", 32.8, 32.8, 262'144, 32'768},
                                              {"Llama 3.3 70B", 70.6, 70.6, 327'680, 131'072},
                                              {"DeepSeek R1 Distill 70B", 70.6, 70.6, 327'680, 131'072},
                                              {"DeepSeek V3 671B", 671, 37, 70'272, 163'840}};
  return kModels;
}

std::vector<Fit> what_fits(const Machine& machine) {
  const std::vector<Place> places = places_of(machine);
  std::vector<Fit> out;
  for (const Candidate& model : catalogue()) out.push_back(fit_candidate(places, model));
  return out;
}

Fit fit_of(const Machine& machine, const std::string& name, const GgufDetails& model) {
  Fit out;
  out.model = name;
  out.quantization = model.info.quantization;
  std::uint64_t most = 0;
  for (const Place& place : places_of(machine)) {
    most = std::max(most, place.room);
    const std::optional<std::uint64_t> context = largest_context(model, {}, place.room);
    if (!context) continue;
    out.fits = true;
    out.where = place.name;
    out.context = *context;
    out.memory = estimate_memory(model, {.context = *context}).total();
    const auto read = static_cast<double>(bytes_per_token(model));
    const double share = model.tensor_bytes == 0 ? 0 : read / static_cast<double>(model.tensor_bytes);
    out.tokens_per_second = speed(place, read, static_cast<double>(model.info.parameters) * share);
    out.why = fmt::format("{} of {}", gb(static_cast<double>(out.memory)), gb(static_cast<double>(place.room)));
    return out;
  }
  out.memory = estimate_memory(model, {.context = 256}).total();
  out.why = fmt::format("needs {} at the least, there is room for {}", gb(static_cast<double>(out.memory)),
                        gb(static_cast<double>(most)));
  return out;
}

std::vector<Finding> findings_of(const Machine& machine) {
  std::vector<Finding> out;
  judge_storage(machine, out);
  judge_power(machine, out);
  judge_gpus(machine, out);
  judge_system(machine, out);
  std::ranges::sort(out, {}, [](const Finding& finding) { return finding.severity == Severity::kProblem ? 0 : 1; });
  return out;
}

}  // namespace spillway::fleet
