// Is a local engine ready to answer?
#pragma once

#include "base/loop_timers.h"
#include "fleet/fleet.h"
#include "http/resolver.h"

namespace spillway::serve {

// Asks GET /health, and then for one short completion: an engine that says it is well may still be
// unable to answer (a model that does not fit, a template that does not render). Both objects have
// to outlive the probes.
fleet::Probe make_probe(asio::io_context& loop, LoopTimers& timers, http::Resolver& resolver);

}  // namespace spillway::serve
