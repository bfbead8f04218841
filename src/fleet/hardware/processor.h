// Cores and memory: what there is, and what the control group leaves of it.
#pragma once

#include "fleet/hardware/machine.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

// From /proc/cpuinfo, /sys/devices/system and the control group (version 1 or 2) of this process.
Processor read_processor(const Root& root);

// From /proc/meminfo and the control group. Cheap enough to be asked before each start of an engine.
MainMemory read_memory(const Root& root);

}  // namespace spillway::fleet
