// What an Exchange needs of the thread that it lives on.
#pragma once

#include "base/loop_timers.h"
#include "config/config.h"
#include "http/client.h"
#include "http/resolver.h"
#include "record/access_log.h"
#include "record/metrics.h"

namespace spillway::attempt {

struct Context {
  LoopTimers& timers;
  http::ClientPool& pool;
  http::Resolver& resolver;
  record::ThreadMetrics& metrics;
  record::AccessLogBuffer& access_log;
};

}  // namespace spillway::attempt
