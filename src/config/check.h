// From what a file says to a whole Config: presets, secrets, and what must hold between options.
#pragma once

#include <vector>

#include "config/config.h"
#include "config/reader.h"

namespace spillway::config {

// A file as it was read, before anything was filled in.
struct Draft {
  Placed<Server> server;
  Placed<Limits> limits;
  Placed<Timeouts> defaults;
  Placed<Breaker> breaker;
  Placed<RetryBudget> retry_budget;
  Placed<Autoscale> autoscale;
  Placed<Governor> governor;
  Placed<Log> log;
  std::vector<Placed<Backend>> backends;
  std::vector<Placed<Route>> routes;
};

// Where a Config's references lead.
struct Sources {
  const Environment& environment;
  std::vector<SeenFile> files;  // those that were read for it
};

// What the preset knows goes where the file says nothing; api_key and references in headers are looked up.
void complete_server(Placed<Server>& server, Sources& sources, Problems& problems);
void complete_backend(Placed<Backend>& backend, Sources& sources, Problems& problems);

// Each section by itself and against the others.
void check_server(const Placed<Server>& server, Problems& problems);
void check_log(const Placed<Log>& log, Problems& problems);
void check_backends(const std::vector<Placed<Backend>>& backends, const Server& server, Problems& problems);
void check_breaker(const Placed<Breaker>& breaker, Problems& problems);
void check_routes(const std::vector<Placed<Route>>& routes, const std::vector<Placed<Backend>>& backends,
                  const Timeouts& defaults, Problems& problems);

}  // namespace spillway::config
