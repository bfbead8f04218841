// What is to be known of Backends beside what their answers show: the models that they list, and how much an engine has
// to do that somebody else runs.
#pragma once

#include <vector>

#include "config/config.h"
#include "record/metrics.h"
#include "serve/regular_asks.h"

namespace spillway::serve {

constexpr seconds kListsEvery{600};
constexpr seconds kListsAfterFailure{30};
constexpr seconds kListsTime{10};
constexpr milliseconds kLoadEvery{2'000};  // Condition::kReportHolds is three times as long
constexpr milliseconds kLoadTime{1'500};

// For Backends with a Target that has `unless_listed`: what GET /models says goes into the Backend's Condition. What a
// provider said before holds while it does not answer. For those with `engine` and `base_url`: what their metrics say
// goes there too, and is forgotten when it is old. `unread`: a Backend wants some metrics; outlives what is returned.
std::vector<RegularAsk> asks_for(const config::Config& config, backend::Conditions& conditions,
                                 record::Metrics& unread);

}  // namespace spillway::serve
