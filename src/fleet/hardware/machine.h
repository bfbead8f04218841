// What a machine is made of, as far as it can be told without being root.
//
// Plain data. What could not be read is in `unread`, with the reason: nothing is guessed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace spillway::fleet {

struct Processor {
  std::string model;  // "AMD EPYC 7763 64-Core Processor"
  int threads = 0;    // logical ones
  int cores = 0;      // physical ones; 0: not told
  int numa_nodes = 1;
  double quota = 0;               // cores that the control group allows; 0: no limit
  std::vector<std::string> simd;  // "avx2", "avx512f", "amx_tile", "neon"

  // Cores that engines can count on.
  [[nodiscard]] double usable() const;
};

struct MainMemory {
  std::uint64_t total = 0;       // bytes
  std::uint64_t available = 0;   // bytes that can be had without swapping
  std::uint64_t limit = 0;       // of the control group, bytes; 0: none
  std::uint64_t limit_left = 0;  // of that, bytes not in use
  std::uint64_t swap = 0;        // bytes

  [[nodiscard]] std::uint64_t usable() const;  // the lesser of total and limit
  [[nodiscard]] std::uint64_t free_now() const;
};

struct Gpu {
  std::string name;
  std::string uuid;
  std::uint64_t memory = 0;                 // bytes
  std::uint64_t memory_free = 0;            // bytes
  std::optional<unsigned> utilisation;      // %
  std::optional<unsigned> temperature;      // degrees Celsius
  std::optional<unsigned> power;            // W
  std::optional<std::uint64_t> ecc_errors;  // uncorrected ones since the driver was loaded
  std::vector<std::string> throttled;       // why its clocks are held down: "thermal", "power brake"
  std::vector<unsigned> xids;               // errors of it in the kernel's log
  std::string pci;                          // "0000:3b:00"
  double bandwidth = 0;                     // GB/s of its memory; 0: not known
};

struct Raid {
  std::string device;  // "md0"
  std::string level;   // "raid10"
  int wanted = 0;      // members
  int working = 0;
  bool active = true;
  std::string rebuild;               // "recovery = 12.6%"; empty: none under way
  std::vector<std::string> members;  // "sda1", those that failed with "(F)" behind

  [[nodiscard]] bool degraded() const { return working < wanted; }
};

struct Disk {
  std::string folder;  // whose disk it is
  std::string device;  // "/dev/md0"; empty: none that is a device
  std::uint64_t size = 0;
  std::uint64_t free = 0;
  bool rotational = false;
  std::optional<double> read_rate;   // MB/s
  std::optional<double> write_rate;  // MB/s, safely on the disk
};

struct DriveHealth {
  std::string device;
  bool healthy = true;
  std::string detail;
};

struct PowerSupply {
  std::string name;
  bool working = true;
  std::string detail;
};

struct Program {
  std::string name;     // "llama.cpp", "docker"
  std::string path;     // empty: not there
  std::string version;  // empty: it does not say
};

struct Port {
  std::string address;  // "127.0.0.1:8080"
  bool is_free = true;
  std::string detail;
};

struct Unread {
  std::string what;
  std::string why;
};

struct Machine {
  Processor processor;
  MainMemory memory;
  double memory_rate = 0;  // GB/s that all cores read together; 0: not measured
  std::vector<Gpu> gpus;
  std::string gpu_driver;  // "550.54.15"; empty: none
  std::vector<Raid> raids;
  Disk disk;  // that models are on
  std::vector<DriveHealth> drives;
  std::vector<PowerSupply> power_supplies;
  std::vector<Program> programs;
  std::vector<Port> ports;
  std::optional<bool> clock_synchronised;
  std::uint64_t open_files = 0;  // the hard limit
  std::vector<Unread> unread;
};

}  // namespace spillway::fleet
