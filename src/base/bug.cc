#include "base/bug.h"

#include <atomic>
#include <set>
#include <utility>

#include "base/log.h"
#include "base/mutex.h"

namespace spillway {

namespace {

std::atomic<std::uint64_t> bugs_seen{0};

// Whether it is the first of its place.
bool is_first(std::string_view file, unsigned line) {
  static Mutex mutex;
  static std::set<std::pair<std::string_view, unsigned>> told;  // names of files are literals
  const MutexLock lock(mutex);
  return told.emplace(file, line).second;
}

}  // namespace

void bug(std::string_view what, std::source_location where) {
  bugs_seen.fetch_add(1, std::memory_order_relaxed);
  if (!is_first(where.file_name(), where.line())) return;
  log::error("a fault of Spillway itself, at " + std::string(where.file_name()) + ":" + std::to_string(where.line()) +
             ": " + std::string(what) + "\n  mend: please report this line; what is told here once may happen again");
}

std::uint64_t bugs() { return bugs_seen.load(std::memory_order_relaxed); }

std::string text_of(const std::exception_ptr& failure) {
  if (!failure) return {};
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& exception) {
    return exception.what();
  } catch (...) {
    return "an exception of unknown type";
  }
}

}  // namespace spillway
