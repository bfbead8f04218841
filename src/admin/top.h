// What `spillway top` shows: a Status, and how it has changed since the one before.
#pragma once

#include <string>
#include <vector>

#include "admin/status.h"

namespace spillway::admin {

// Of one Backend, between two Statuses.
struct Rates {
  double answered_per_s = 0;
  double failed_per_s = 0;  // Attempts that ended otherwise, what was outrun or abandoned not among them
};
// In the order of `current.backends`; 0 for one that is new, or whose counts fell since the process was started anew.
std::vector<Rates> rates_between(const Status& previous, const Status& current);

struct TopStyle {
  bool colour = false;  // ANSI
  int width = 0;        // columns; longer lines are cut; 0: as they are
};
// One screen, without the codes that clear it.
std::string to_top(const Status& previous, const Status& current, const TopStyle& style);

}  // namespace spillway::admin
