#include "fleet/hardware/gpus.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "base/text.h"

namespace spillway::fleet {

namespace {

// NVML's interface as far as it is used, from its documentation (driver 550): there is no header on most machines.
using Device = void*;
constexpr int kSuccess = 0;
constexpr unsigned kNameSize = 96;
constexpr int kUncorrected = 1;  // NVML_MEMORY_ERROR_TYPE_UNCORRECTED
constexpr int kVolatile = 0;     // NVML_VOLATILE_ECC
constexpr int kMemoryClock = 2;  // NVML_CLOCK_MEM
constexpr int kTemperatureGpu = 0;

struct MemoryInfo {
  unsigned long long total;
  unsigned long long free;
  unsigned long long used;
};
struct Utilisation {
  unsigned gpu;
  unsigned memory;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain;
  unsigned bus;
  unsigned device;
  unsigned pci_device_id;
  unsigned pci_subsystem_id;
  char bus_id[32];
};

struct Throttle {
  unsigned long long bit;
  std::string_view name;
};
constexpr std::array<Throttle, 4> kThrottles{
    {{0x4, "power cap"}, {0x20, "thermal (software)"}, {0x40, "thermal (hardware)"}, {0x80, "power brake"}}};

class Nvml {
 public:
  Nvml() : library_(::dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) return;
    load(init_, "nvmlInit_v2");
    load(shutdown_, "nvmlShutdown");
    load(error_text_, "nvmlErrorString");
    load(driver_, "nvmlSystemGetDriverVersion");
    load(count_, "nvmlDeviceGetCount_v2");
    load(handle_, "nvmlDeviceGetHandleByIndex_v2");
    load(name_, "nvmlDeviceGetName");
    load(uuid_, "nvmlDeviceGetUUID");
    load(memory_, "nvmlDeviceGetMemoryInfo");
    load(utilisation_, "nvmlDeviceGetUtilizationRates");
    load(temperature_, "nvmlDeviceGetTemperature");
    load(power_, "nvmlDeviceGetPowerUsage");
    load(ecc_, "nvmlDeviceGetTotalEccErrors");
    load(throttle_, "nvmlDeviceGetCurrentClocksThrottleReasons");
    load(pci_, "nvmlDeviceGetPciInfo_v3");
    load(max_clock_, "nvmlDeviceGetMaxClockInfo");
    load(bus_width_, "nvmlDeviceGetMemoryBusWidth");
    if (init_ == nullptr || shutdown_ == nullptr || count_ == nullptr || handle_ == nullptr || name_ == nullptr ||
        memory_ == nullptr) {
      why_ = "libnvidia-ml.so.1 lacks functions that every driver has";
      return;
    }
    const int result = init_();
    started_ = result == kSuccess;
    if (!started_) why_ = error_text_ != nullptr ? error_text_(result) : "error " + std::to_string(result);
  }
  Nvml(const Nvml&) = delete;
  Nvml& operator=(const Nvml&) = delete;
  ~Nvml() {
    if (started_) shutdown_();
    if (library_ != nullptr) ::dlclose(library_);
  }

  [[nodiscard]] bool loaded() const { return library_ != nullptr; }
  [[nodiscard]] bool started() const { return started_; }
  [[nodiscard]] const std::string& why() const { return why_; }

  [[nodiscard]] std::string driver() const {
    char text[kNameSize] = "";
    return driver_ != nullptr && driver_(text, sizeof text) == kSuccess ? text : "";
  }
  [[nodiscard]] std::vector<Gpu> devices() const {
    std::vector<Gpu> out;
    unsigned count = 0;
    if (count_(&count) != kSuccess) return out;
    for (unsigned i = 0; i < count; ++i) {
      Device device = nullptr;
      if (handle_(i, &device) == kSuccess) out.push_back(describe(device));
    }
    return out;
  }

  // One that can be asked how busy it is.
  struct Handle {
    Device device = nullptr;
    std::string index;
    std::string uuid;
  };
  [[nodiscard]] std::vector<Handle> handles() const {
    std::vector<Handle> out;
    unsigned count = 0;
    if (utilisation_ == nullptr || count_(&count) != kSuccess) return out;
    for (unsigned i = 0; i < count; ++i) {
      Handle handle;
      handle.index = std::to_string(i);
      if (handle_(i, &handle.device) != kSuccess) continue;
      char text[kNameSize] = "";
      if (uuid_ != nullptr && uuid_(handle.device, text, sizeof text) == kSuccess) handle.uuid = text;
      out.push_back(std::move(handle));
    }
    return out;
  }
  [[nodiscard]] std::optional<double> use(const Handle& handle) const {
    Utilisation utilisation{};
    if (utilisation_(handle.device, &utilisation) != kSuccess) return std::nullopt;
    return std::min(utilisation.gpu, 100u) / 100.0;
  }

 private:
  template <class F>
  void load(F& function, const char* name) {
    function = reinterpret_cast<F>(::dlsym(library_, name));
  }

  [[nodiscard]] Gpu describe(Device device) const {
    Gpu gpu;
    char text[kNameSize] = "";
    if (name_(device, text, sizeof text) == kSuccess) gpu.name = text;
    if (uuid_ != nullptr && uuid_(device, text, sizeof text) == kSuccess) gpu.uuid = text;
    MemoryInfo memory{};
    if (memory_(device, &memory) == kSuccess) {
      gpu.memory = memory.total;
      gpu.memory_free = memory.free;
    }
    Utilisation utilisation{};
    if (utilisation_ != nullptr && utilisation_(device, &utilisation) == kSuccess) gpu.utilisation = utilisation.gpu;
    unsigned value = 0;
    if (temperature_ != nullptr && temperature_(device, kTemperatureGpu, &value) == kSuccess) gpu.temperature = value;
    if (power_ != nullptr && power_(device, &value) == kSuccess) gpu.power = value / 1000;
    unsigned long long wide = 0;
    if (ecc_ != nullptr && ecc_(device, kUncorrected, kVolatile, &wide) == kSuccess) gpu.ecc_errors = wide;
    if (throttle_ != nullptr && throttle_(device, &wide) == kSuccess) {
      for (const Throttle& each : kThrottles) {
        if ((wide & each.bit) != 0) gpu.throttled.emplace_back(each.name);
      }
    }
    PciInfo pci{};
    if (pci_ != nullptr && pci_(device, &pci) == kSuccess) {
      char id[32];
      std::snprintf(id, sizeof id, "%04x:%02x:%02x", pci.domain, pci.bus, pci.device);
      gpu.pci = id;
    }
    gpu.bandwidth = bandwidth_of(gpu.name);
    unsigned clock = 0;
    unsigned width = 0;
    // Two transfers a clock, `width` bits each: close enough for cards that no table knows.
    if (gpu.bandwidth == 0 && max_clock_ != nullptr && bus_width_ != nullptr &&
        max_clock_(device, kMemoryClock, &clock) == kSuccess && bus_width_(device, &width) == kSuccess) {
      gpu.bandwidth = 2.0 * clock * 1e6 * width / 8 / 1e9;
    }
    return gpu;
  }

  void* library_;
  bool started_ = false;
  std::string why_;
  int (*init_)() = nullptr;
  int (*shutdown_)() = nullptr;
  const char* (*error_text_)(int) = nullptr;
  int (*driver_)(char*, unsigned) = nullptr;
  int (*count_)(unsigned*) = nullptr;
  int (*handle_)(unsigned, Device*) = nullptr;
  int (*name_)(Device, char*, unsigned) = nullptr;
  int (*uuid_)(Device, char*, unsigned) = nullptr;
  int (*memory_)(Device, MemoryInfo*) = nullptr;
  int (*utilisation_)(Device, Utilisation*) = nullptr;
  int (*temperature_)(Device, int, unsigned*) = nullptr;
  int (*power_)(Device, unsigned*) = nullptr;
  int (*ecc_)(Device, int, int, unsigned long long*) = nullptr;
  int (*throttle_)(Device, unsigned long long*) = nullptr;
  int (*pci_)(Device, PciInfo*) = nullptr;
  int (*max_clock_)(Device, int, unsigned*) = nullptr;
  int (*bus_width_)(Device, unsigned*) = nullptr;
};

struct Card {
  std::string_view name;
  double bandwidth;  // GB/s
};
// The longer names first: "A100-SXM4-80GB" is also an "A100".
constexpr std::array<Card, 20> kCards{{{"A100-SXM4-80GB", 2039},
                                       {"A100 80GB", 1935},
                                       {"A100-PCIE-40GB", 1555},
                                       {"A100", 1555},
                                       {"H100 PCIe", 2039},
                                       {"H100", 3350},
                                       {"H200", 4800},
                                       {"H20", 4000},
                                       {"B200", 8000},
                                       {"L40S", 864},
                                       {"L40", 864},
                                       {"L20", 864},
                                       {"L4", 300},
                                       {"T4", 320},
                                       {"V100", 900},
                                       {"A10", 600},
                                       {"RTX 4090", 1008},
                                       {"RTX 3090", 936},
                                       {"RTX 5090", 1792},
                                       {"A6000", 768}}};

}  // namespace

double bandwidth_of(std::string_view name) {
  for (const Card& card : kCards) {
    const std::size_t at = name.find(card.name);
    if (at == std::string_view::npos) continue;
    // "L4" is not "L40", "T4" not "GT430".
    const std::size_t end = at + card.name.size();
    const bool begins = at == 0 || name[at - 1] == ' ' || name[at - 1] == '-';
    const bool ends = end == name.size() || name[end] == ' ' || name[end] == '-';
    if (begins && ends) return card.bandwidth;
  }
  return 0;
}

std::vector<unsigned> xids_of(std::string_view kernel_log, std::string_view pci) {
  std::vector<unsigned> out;
  if (pci.empty()) return out;
  const std::string begin = "NVRM: Xid (PCI:" + std::string(pci);
  for (const std::string_view line : lines_of(kernel_log)) {
    const std::size_t at = line.find(begin);
    const std::size_t number = at == std::string_view::npos ? at : line.find("): ", at);
    if (number == std::string_view::npos) continue;
    const auto xid = static_cast<unsigned>(leading_number(line.substr(number + 3)).value_or(0));
    if (xid != 0 && std::ranges::find(out, xid) == out.end()) out.push_back(xid);
  }
  return out;
}

struct GpuUse::State {
  Nvml nvml;
  std::vector<Nvml::Handle> handles = nvml.started() ? nvml.handles() : std::vector<Nvml::Handle>{};
};

GpuUse::GpuUse() : state_(std::make_unique<State>()) {}

GpuUse::~GpuUse() = default;

bool GpuUse::any() const { return !state_->handles.empty(); }

std::optional<double> GpuUse::read(const std::vector<std::string>& which) const {
  const bool all = which.empty() || which.front() == "all";
  double sum = 0;
  int count = 0;
  for (const Nvml::Handle& handle : state_->handles) {
    const bool named = std::ranges::any_of(
        which, [&](const std::string& name) { return name == handle.index || name == handle.uuid; });
    const std::optional<double> use = all || named ? state_->nvml.use(handle) : std::nullopt;
    if (!use) continue;
    sum += *use;
    ++count;
  }
  return count > 0 ? std::optional(sum / count) : std::nullopt;
}

Gpus read_gpus(const Root& root, std::vector<Unread>& unread) {
  Gpus out;
  const Nvml nvml;
  if (!nvml.started()) {
    const bool driver = root.text("/proc/driver/nvidia/version").ok();
    if (nvml.loaded()) {
      unread.push_back({"GPUs", nvml.why()});
    } else if (driver) {
      unread.push_back(
          {"GPUs", "the kernel has NVIDIA's driver, and libnvidia-ml.so.1 is missing (in a container: --gpus all)"});
    }
    return out;
  }
  out.driver = nvml.driver();
  out.all = nvml.devices();
  if (out.all.empty()) return out;
  Result<std::string> log = root.text("/dev/kmsg");
  if (!log) log = root.text("/var/log/kern.log");
  if (!log) {
    unread.push_back({"errors of GPUs in the kernel's log (Xid)", log.error().message});
    return out;
  }
  for (Gpu& gpu : out.all) gpu.xids = xids_of(*log, gpu.pci);
  return out;
}

}  // namespace spillway::fleet
