// What `spillway serve` says when it is up.
#pragma once

#include <string>

#include "config/config.h"

namespace spillway::serve {

// "http://127.0.0.1:8080"; an address that means "all" is shown as this machine's own.
std::string url_of(const config::Address& address, bool tls = false);

// A few friendly lines: URLs, Backends, and a curl line that works. `config.server` holds the ports
// that were really taken.
std::string banner(const config::Config& config);

}  // namespace spillway::serve
