// Disks: space, RAID, health, speed.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

#include "fleet/hardware/machine.h"
#include "fleet/hardware/root.h"

namespace spillway::fleet {

// The text of /proc/mdstat.
std::vector<Raid> parse_mdstat(std::string_view text);

// The disk that `folder` (or the nearest one above it that is there) is on. Its size is the live system's; the device
// comes from /proc/self/mountinfo.
Disk read_disk(const Root& root, const std::filesystem::path& folder);

// What SMART says of each drive, by smartctl where it is installed and may read them.
std::vector<DriveHealth> read_drives(const Root& root, std::vector<Unread>& unread);

// Writes and reads a file in `disk.folder`, for half a second at most, past the page cache. What cannot be measured is
// told in `unread`.
void measure_disk(Disk& disk, std::vector<Unread>& unread);

}  // namespace spillway::fleet
