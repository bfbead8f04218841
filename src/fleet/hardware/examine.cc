#include "fleet/hardware/examine.h"

#include <arpa/inet.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <thread>

#include "base/file.h"
#include "base/time.h"
#include "config/config.h"
#include "fleet/engine/llama_cpp.h"
#include "fleet/hardware/gpus.h"
#include "fleet/hardware/power.h"
#include "fleet/hardware/processor.h"
#include "fleet/hardware/storage.h"
#include "fleet/hardware/tool.h"

namespace spillway::fleet {

namespace {

constexpr milliseconds kVersion{500};  // for a program to say its version
constexpr milliseconds kMemoryMeasure{200};
constexpr std::size_t kMemoryBlock = 32u << 20;  // bytes a thread: beyond any cache that a core has to itself

std::string version_text(std::string_view text) {
  for (const std::string_view line : lines_of(text)) {
    for (const std::string_view key : {"version: ", "version "}) {
      const std::size_t at = line.find(key);
      if (at != std::string_view::npos) return std::string(line.substr(at + key.size(), 60));
    }
  }
  const std::vector<std::string_view> lines = lines_of(text);
  return lines.empty() ? "" : std::string(lines.front().substr(0, 60));
}

Program ask_program(const std::string& name, const std::string& path, const std::vector<std::string>& arguments) {
  Program out{name, path, {}};
  if (path.empty() || arguments.empty()) return out;
  if (const Result<std::string> said = run_tool(path, arguments, kVersion); said) out.version = version_text(*said);
  return out;
}

std::vector<Program> find_programs(const config::Environment& environment) {
  const Result<std::filesystem::path> llama = llama_cpp::find_server(environment);
  // Engines in Python take seconds to say their version: that they are there is what counts.
  return {ask_program("llama.cpp", llama ? llama->string() : "", {"--version"}),
          ask_program("ollama", find_program("ollama"), {"--version"}), ask_program("vllm", find_program("vllm"), {}),
          ask_program("trtllm-serve", find_program("trtllm-serve"), {}),
          ask_program("docker", find_program("docker"), {"--version"})};
}

Port look_at_port(const std::string& text) {
  Port out{text, true, {}};
  const std::optional<config::Address> address = config::parse_address(text);
  if (!address || address->port == 0) return out;
  const bool six = address->host.find(':') != std::string::npos;
  const FileDescriptor fd(::socket(six ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_storage storage{};
  socklen_t size = sizeof(sockaddr_in);
  if (six) {
    auto* to = reinterpret_cast<sockaddr_in6*>(&storage);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(address->port);
    ::inet_pton(AF_INET6, address->host.c_str(), &to->sin6_addr);
    size = sizeof(sockaddr_in6);
  } else {
    auto* to = reinterpret_cast<sockaddr_in*>(&storage);
    to->sin_family = AF_INET;
    to->sin_port = htons(address->port);
    ::inet_pton(AF_INET, address->host.c_str(), &to->sin_addr);
  }
  if (fd.valid() && ::bind(fd.get(), reinterpret_cast<sockaddr*>(&storage), size) != 0 &&
      (errno == EADDRINUSE || errno == EACCES)) {
    out.is_free = false;
    out.detail = errno == EACCES ? ": ports below 1024 need a right" : "";
  }
  return out;
}

void look_at_system(Machine& machine, const Examination& what) {
  timex state{};
  const int clock = ::adjtimex(&state);
  if (clock < 0) {
    machine.unread.push_back({"whether the clock is synchronised", std::strerror(errno)});
  } else {
    machine.clock_synchronised = clock != TIME_ERROR;
  }
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) machine.open_files = limit.rlim_max;
  for (const std::string& address : what.addresses) machine.ports.push_back(look_at_port(address));
  machine.programs = find_programs(what.environment);
}

}  // namespace

double measure_memory(milliseconds limit, int threads) {
  std::atomic<std::uint64_t> bytes = 0;
  std::atomic<int> ready = 0;
  std::atomic<bool> stop = false;
  std::atomic<std::uint64_t> sink = 0;
  const auto work = [&] {
    std::vector<std::uint64_t> array(kMemoryBlock / sizeof(std::uint64_t), 1);
    ++ready;
    while (ready.load() < threads) std::this_thread::yield();
    std::uint64_t sums[4] = {};
    while (!stop.load(std::memory_order_relaxed)) {
      for (std::size_t i = 0; i + 4 <= array.size(); i += 4) {
        for (std::size_t k = 0; k < 4; ++k) sums[k] += array[i + k];
      }
      bytes += kMemoryBlock;
    }
    sink += sums[0] + sums[1] + sums[2] + sums[3];
  };
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) all.emplace_back(work);
  while (ready.load() < threads) std::this_thread::yield();
  const TimePoint begin = now();
  const std::uint64_t before = bytes.load();
  std::this_thread::sleep_for(limit);
  const double rate =
      static_cast<double>(bytes.load() - before) / 1e9 / std::chrono::duration<double>(now() - begin).count();
  stop = true;
  for (std::thread& each : all) each.join();
  return rate;
}

Machine examine(const Examination& what) {
  Machine out;
  out.processor = read_processor(what.root);
  out.memory = read_memory(what.root);
  if (const Result<std::string> mdstat = what.root.text("/proc/mdstat"); mdstat) {
    out.raids = parse_mdstat(*mdstat);
  } else {
    out.unread.push_back({"software RAID", "/proc/mdstat cannot be read: the kernel has none, or this is a container"});
  }
  out.disk = read_disk(what.root, what.data);
  out.drives = read_drives(what.root, out.unread);
  out.power_supplies = read_power_supplies(what.root, out.unread);
  Gpus gpus = read_gpus(what.root, out.unread);
  out.gpus = std::move(gpus.all);
  out.gpu_driver = std::move(gpus.driver);
  if (!what.root.live()) return out;
  look_at_system(out, what);
  if (what.measure) {
    const int threads = std::clamp(static_cast<int>(out.processor.usable()), 1, 64);
    out.memory_rate = measure_memory(kMemoryMeasure, threads);
    measure_disk(out.disk, out.unread);
  }
  return out;
}

}  // namespace spillway::fleet
