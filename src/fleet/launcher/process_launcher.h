// Engines as processes of our own, which end with us.
#pragma once

#include <boost/asio/io_context.hpp>

#include "fleet/launcher/launcher.h"

namespace spillway::fleet {

// `cpus` and `memory` of a Backend bound its engines by a control group where one can be made; else memory is bounded
// by RLIMIT_DATA (which leaves out weights that are mapped from their file), and `cpus` says how many processors an
// engine may run on. Call start() only from a thread that lives as long as the process (see Process).
std::unique_ptr<Launcher> make_process_launcher(boost::asio::io_context& loop);

}  // namespace spillway::fleet
