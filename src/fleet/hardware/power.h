// Power supplies, where the system tells of them: PMBus sensors (hwmon), or the board's controller (IPMI).
#pragma once

#include <vector>

#include "fleet/hardware/machine.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

// Empty with a reason in `unread` where nobody tells: so it is on most virtual machines.
std::vector<PowerSupply> read_power_supplies(const Root& root, std::vector<Unread>& unread);

// The output of `ipmitool sdr type "Power Supply"`: "PSU1 Status | C8h | ok | 10.1 | Presence detected".
std::vector<PowerSupply> parse_ipmi(std::string_view text);

}  // namespace spillway::fleet
