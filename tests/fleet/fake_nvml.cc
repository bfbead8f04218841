// A libnvidia-ml.so.1 that tells what FAKE_NVML says: "NAME|BYTES|BUS|ECC ERRORS|THROTTLE BITS", several with ';'
// between them. "error" lets it fail to start. Where FAKE_NVML_USE names a file, how busy they are stands in it
// (percent).
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Card {
  std::string name;
  unsigned long long memory = 0;
  unsigned bus = 0;
  unsigned long long ecc = 0;
  unsigned long long throttle = 0;
};

std::string setting() {
  const char* text = std::getenv("FAKE_NVML");
  return text == nullptr ? "" : text;
}

const std::vector<Card>& cards() {
  static const std::vector<Card> kCards = [] {
    std::vector<Card> out;
    std::istringstream all(setting());
    for (std::string one; std::getline(all, one, ';');) {
      Card card;
      std::istringstream fields(one);
      std::string field;
      std::getline(fields, card.name, '|');
      if (std::getline(fields, field, '|')) card.memory = std::stoull(field);
      if (std::getline(fields, field, '|')) card.bus = static_cast<unsigned>(std::stoul(field, nullptr, 16));
      if (std::getline(fields, field, '|')) card.ecc = std::stoull(field);
      if (std::getline(fields, field, '|')) card.throttle = std::stoull(field, nullptr, 0);
      out.push_back(card);
    }
    return out;
  }();
  return kCards;
}

const Card& card_of(void* device) { return *static_cast<const Card*>(device); }

struct MemoryInfo {
  unsigned long long total, free, used;
};
struct Utilisation {
  unsigned gpu, memory;
};
struct PciInfo {
  char bus_id_legacy[16];
  unsigned domain, bus, device, pci_device_id, pci_subsystem_id;
  char bus_id[32];
};

}  // namespace

// The names are NVIDIA's.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" {

int nvmlInit_v2() { return setting() == "error" ? 9 : 0; }
int nvmlShutdown() { return 0; }
const char* nvmlErrorString(int) { return "Driver Not Loaded"; }
int nvmlSystemGetDriverVersion(char* text, unsigned size) { return std::snprintf(text, size, "550.54.15") > 0 ? 0 : 1; }
int nvmlDeviceGetCount_v2(unsigned* count) {
  *count = static_cast<unsigned>(cards().size());
  return 0;
}
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void** device) {
  *device = const_cast<Card*>(&cards()[index]);
  return 0;
}
int nvmlDeviceGetName(void* device, char* text, unsigned size) {
  return std::snprintf(text, size, "%s", card_of(device).name.c_str()) > 0 ? 0 : 1;
}
int nvmlDeviceGetUUID(void* device, char* text, unsigned size) {
  return std::snprintf(text, size, "GPU-%02x", card_of(device).bus) > 0 ? 0 : 1;
}
int nvmlDeviceGetMemoryInfo(void* device, MemoryInfo* memory) {
  *memory = {card_of(device).memory, card_of(device).memory, 0};
  return 0;
}
int nvmlDeviceGetUtilizationRates(void*, Utilisation* out) {
  *out = {17, 3};
  if (const char* file = std::getenv("FAKE_NVML_USE"); file != nullptr) std::ifstream(file) >> out->gpu;
  return 0;
}
int nvmlDeviceGetTemperature(void*, int, unsigned* out) {
  *out = 44;
  return 0;
}
int nvmlDeviceGetPowerUsage(void*, unsigned* out) {
  *out = 61'500;
  return 0;
}
int nvmlDeviceGetTotalEccErrors(void* device, int, int, unsigned long long* out) {
  *out = card_of(device).ecc;
  return 0;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void* device, unsigned long long* out) {
  *out = card_of(device).throttle;
  return 0;
}
int nvmlDeviceGetPciInfo_v3(void* device, PciInfo* out) {
  std::memset(out, 0, sizeof *out);
  out->bus = card_of(device).bus;
  return 0;
}
int nvmlDeviceGetMaxClockInfo(void*, int, unsigned* out) {
  *out = 5001;
  return 0;
}
int nvmlDeviceGetMemoryBusWidth(void*, unsigned* out) {
  *out = 256;
  return 0;
}

}  // extern "C"
// NOLINTEND(readability-identifier-naming)
