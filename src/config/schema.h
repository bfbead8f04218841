// The list of all options: the one place that holds a key, its unit and its documentation. Defaults
// are the initial values of the structs in config.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/reader.h"

namespace spillway::config {

const Options<Server>& server_options();
const Options<Limits>& limits_options();
const Options<Timeouts>& defaults_options();
const Options<Breaker>& breaker_options();
const Options<RetryBudget>& retry_budget_options();
const Options<Autoscale>& autoscale_options();
const Options<Governor>& governor_options();
const Options<Log>& log_options();
const Options<Backend>& backend_options();
const Options<Route>& route_options();
const Options<Target>& target_options();

// Keys of a [[backend]] that only a local one has, one with an engine.
std::span<const std::string_view> engine_keys();

// Names of every section that a file may have.
std::vector<std::string> section_names();

}  // namespace spillway::config
