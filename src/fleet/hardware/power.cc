#include "fleet/hardware/power.h"

#include <unistd.h>

#include <algorithm>
#include <map>

#include "base/text.h"
#include "fleet/hardware/tool.h"

namespace spillway::fleet {

namespace {

constexpr milliseconds kIpmitool{900};

std::string_view field(std::string_view line, std::size_t number) {
  for (std::size_t i = 0; i < number; ++i) {
    const std::size_t bar = line.find('|');
    if (bar == std::string_view::npos) return {};
    line.remove_prefix(bar + 1);
  }
  return trim(line.substr(0, line.find('|')));
}

// A PMBus power supply is a hwmon device with an input ("vin") and an output ("pout1" or "vout1") among its labels.
std::optional<PowerSupply> pmbus(const Root& root, const std::string& device) {
  const std::string folder = "/sys/class/hwmon/" + device;
  const std::vector<std::string> files = root.names(folder);
  bool input = false;
  bool output = false;
  std::string alarms;
  for (const std::string& file : files) {
    if (file.ends_with("_label")) {
      const std::string label = root.line(folder + "/" + file);
      input = input || label == "vin" || label == "pin";
      output = output || label.starts_with("pout") || label.starts_with("vout");
    }
    // "in1_lcrit_alarm": the input is gone; "in2_crit_alarm": the output is out of its limits.
    if ((file.ends_with("crit_alarm") || file.ends_with("_fault")) &&
        root.number(folder + "/" + file).value_or(0) != 0) {
      alarms += (alarms.empty() ? "" : ", ") + file;
    }
  }
  if (!input || !output) return std::nullopt;
  return PowerSupply{root.line(folder + "/name") + " (" + device + ")", alarms.empty(),
                     alarms.empty() ? "" : "alarm: " + alarms};
}

}  // namespace

std::vector<PowerSupply> parse_ipmi(std::string_view text) {
  std::map<std::string, PowerSupply> supplies;  // the board tells several things of each
  for (const std::string_view line : lines_of(text)) {
    const std::string_view name = field(line, 0);
    const std::string state = to_lower(field(line, 2));
    const std::string said(field(line, 4));
    if (name.empty() || state.empty() || state == "ns") continue;  // "ns": no reading
    const std::string key(name.substr(0, name.find(' ')));
    PowerSupply& supply = supplies.try_emplace(key, PowerSupply{key, true, {}}).first->second;
    const std::string lower = to_lower(said);
    const bool failed = lower.find("fail") != std::string::npos || lower.find("lost") != std::string::npos ||
                        lower.find("out-of-range") != std::string::npos || state == "cr" || state == "nr";
    if (failed) {
      supply.working = false;
      supply.detail = said.empty() ? "critical" : said;
    } else if (supply.detail.empty()) {
      supply.detail = said;
    }
  }
  std::vector<PowerSupply> out;
  for (auto& [key, supply] : supplies) out.push_back(std::move(supply));
  return out;
}

std::vector<PowerSupply> read_power_supplies(const Root& root, std::vector<Unread>& unread) {
  std::vector<PowerSupply> out;
  for (const std::string& device : root.names("/sys/class/hwmon")) {
    if (std::optional<PowerSupply> supply = pmbus(root, device)) out.push_back(*std::move(supply));
  }
  if (!out.empty()) return out;
  // A recorded tree has what ipmitool said in a file.
  if (const Result<std::string> recorded = root.text("/ipmi/power_supply"); recorded && !root.live())
    return parse_ipmi(*recorded);
  const bool controller = !root.names("/sys/class/ipmi").empty();
  if (!controller) {
    unread.push_back(
        {"power supplies", "the system tells of none: no PMBus sensors in /sys/class/hwmon, no IPMI controller"});
    return out;
  }
  const std::string ipmitool = root.live() ? find_program("ipmitool") : std::string();
  if (ipmitool.empty() || ::access("/dev/ipmi0", R_OK | W_OK) != 0) {
    unread.push_back(
        {"power supplies", ipmitool.empty() ? "ipmitool is not installed" : "only root may use /dev/ipmi0"});
    return out;
  }
  const Result<std::string> said = run_tool(ipmitool, {"sdr", "type", "Power Supply"}, kIpmitool);
  if (said) return parse_ipmi(*said);
  unread.push_back({"power supplies", said.error().message});
  return out;
}

}  // namespace spillway::fleet
