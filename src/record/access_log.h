// One JSON line for each Exchange.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/loop_timers.h"
#include "base/result.h"
#include "base/time.h"

namespace spillway::record {

// One Attempt, as it is told in the log.
struct AttemptLine {
  std::string_view backend;
  std::string_view outcome;  // a word of kAttemptClasses
  int status = 0;            // of the upstream; 0: none came
  double queued_ms = 0;      // for room at the Backend
  double connect_ms = -1;    // -1: the connection was there already
  double first_token_ms = -1;
  double total_ms = 0;
  std::uint64_t events = 0;                   // of a stream
  bool repeated = false;                      // on a new connection, the kept one being dead
  bool resumed = false;                       // went on with the answer of an earlier one
  bool hedge = false;                         // begun beside another one that was slow
  std::string_view upstream_request_id = {};  // the provider's own id of it; empty: it gave none
};

// One Exchange. Views have to live until the line is written into the buffer, no longer.
struct ExchangeLine {
  std::string_view request_id;
  std::string_view client;
  std::string_view method;
  std::string_view path;
  std::string_view route;
  std::string_view model;    // as asked for
  std::string_view backend;  // that gave the first token; empty: none did
  std::string_view error;    // Spillway's own code; empty: none
  int status = 0;
  bool stream = false;
  double first_token_ms = -1;
  double total_ms = 0;
  std::uint64_t bytes_in = 0;
  std::uint64_t bytes_out = 0;
  std::uint64_t events = 0;
  std::vector<AttemptLine> attempts;
};

// {"time":"2026-11-23T09:00:00.123Z","request_id":…}\n
void append_line(std::string& out, const ExchangeLine& line, std::chrono::system_clock::time_point at);

// Takes the lines of all threads to one file, on a thread of its own. A disk that is slow or full
// never holds up a request: lines are dropped then, counted, and told in the program's log.
class AccessLog {
 public:
  static constexpr milliseconds kFlushEvery{50};         // at most so much is lost with the process
  static constexpr std::size_t kMaxPending = 16u << 20;  // bytes that wait for the disk, at most

  struct Settings {
    std::string path;  // empty: off; "stderr"; else a file, rotated
    std::uint64_t max_size = 64u << 20;
    int files = 4;
  };

  // Opens the file. Fails where it cannot be written to.
  static Result<std::unique_ptr<AccessLog>> open(Settings settings);
  ~AccessLog();  // writes what is left

  [[nodiscard]] bool enabled() const;
  // From any thread; takes all of `lines` and leaves it empty.
  void hand_over(std::string& lines);
  [[nodiscard]] std::uint64_t dropped_bytes() const;

 private:
  struct State;
  explicit AccessLog(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// A thread's own end of the log: collects lines and hands them over every kFlushEvery.
class AccessLogBuffer {
 public:
  static constexpr std::size_t kHandOverAt = 64u << 10;  // bytes

  AccessLogBuffer(LoopTimers& timers, AccessLog& log);
  ~AccessLogBuffer();
  void write(const ExchangeLine& line);

 private:
  AccessLog& log_;
  std::string lines_;
  LoopTimers::Entry timer_;
};

}  // namespace spillway::record
