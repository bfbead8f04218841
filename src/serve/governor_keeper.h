// [governor]: measures how busy each local engine is, and sets what its Gate lets in accordingly.
#pragma once

#include <map>
#include <string>

#include "admin/status.h"
#include "backend/condition.h"
#include "base/loop_timers.h"
#include "config/config.h"
#include "fleet/fleet.h"
#include "fleet/governor.h"
#include "fleet/hardware/gpus.h"

namespace spillway::serve {

// The control thread's.
class GovernorKeeper {
 public:
  // Short against a request; long against the hundredths of a second in which the kernel counts.
  static constexpr milliseconds kEvery{100};

  GovernorKeeper(LoopTimers& timers, fleet::Fleet& fleet, backend::Conditions& conditions);
  ~GovernorKeeper();
  GovernorKeeper(const GovernorKeeper&) = delete;
  GovernorKeeper& operator=(const GovernorKeeper&) = delete;

  // The local Backends of that Config (with_members()), from now on; where its governor is off, none.
  void keep(const config::Config& config);
  void stop();

  // Adds what is known of those that are governed.
  void describe(admin::Status& status) const;

 private:
  struct Governed {
    config::Backend backend;
    fleet::Governor governor;
    // When it was looked at last.
    Duration processor_time{};
    TimePoint at{};
    int starts = -1;  // of its engine; another one counts anew
  };

  void look();
  void look_at(Governed& governed, int starts);

  LoopTimers& timers_;
  fleet::Fleet& fleet_;
  backend::Conditions& conditions_;
  fleet::GpuUse gpus_;
  double set_point_ = 0;
  std::map<std::string, Governed> governed_;
  LoopTimers::Entry timer_;
};

}  // namespace spillway::serve
