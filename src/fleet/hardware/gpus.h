// GPUs, as NVIDIA's management library tells of them. It is loaded when there is one (libnvidia-ml.so.1); without it
// there are none that engines could use.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "fleet/hardware/machine.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

struct Gpus {
  std::vector<Gpu> all;
  std::string driver;
};

// Takes some 10 ms a GPU. What a driver or a card does not tell is left out; `unread` says why there are none where the
// kernel has NVIDIA's driver.
Gpus read_gpus(const Root& root, std::vector<Unread>& unread);

// How busy the GPUs are, asked again and again: the library stays loaded. One thread.
class GpuUse {
 public:
  GpuUse();
  ~GpuUse();
  GpuUse(const GpuUse&) = delete;
  GpuUse& operator=(const GpuUse&) = delete;

  [[nodiscard]] bool any() const;
  // The mean of those named by index or UUID, 0 to 1, over the time that the driver takes it over (up to 1 s); none
  // named, or "all": of all. Nothing: there is none that tells.
  [[nodiscard]] std::optional<double> read(const std::vector<std::string>& which) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// GB/s of the memory of a card by its name; 0: not known. Source: NVIDIA's data sheets, read 2026-11-23.
double bandwidth_of(std::string_view name);

// "NVRM: Xid (PCI:0000:3b:00): 79, …" lines of the kernel's log, for the card at `pci` ("0000:3b:00").
std::vector<unsigned> xids_of(std::string_view kernel_log, std::string_view pci);

}  // namespace spillway::fleet
