// Requests at their time, whatever becomes of those before: an open loop, as users are.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/event.h"
#include "base/loop.h"
#include "base/loop_timers.h"
#include "http/client.h"
#include "http/resolver.h"

namespace spillway::bench {

// What a request came to.
struct Sample {
  std::uint64_t number = 0;
  double at_s = 0;  // when it was due, from the start
  bool answered = false;
  int status = 0;              // 0: none came
  std::string cls;             // "answered", else a word of record::kAttemptClasses, or "client" for another 4xx
  std::string detail;          // what the other side said
  double first_token_ms = -1;  // from when it was due, so that a late sender hides nothing; -1: there was none
  double total_ms = 0;         // the same
  std::uint64_t tokens = 0;    // events with a part of the answer
  std::string request_id;      // as the gateway tells it; empty: no gateway
  std::string backend;         // x-spillway-backend
};

struct LoadPlan {
  std::string url;  // of the API, as an SDK would have it
  std::string model;
  std::uint64_t requests = 1'000;
  double per_second = 50;  // on the average; the times between them are exponentially distributed
  int tokens = 20;         // asked for
  std::uint64_t seed = 1;
  milliseconds patience{60'000};  // for a first token, and between two
};

// One thread, that of `loop`. `on_sample` is called at the end of each request.
class Load {
 public:
  Load(asio::io_context& loop, LoadPlan plan, std::function<void(const Sample&)> on_sample);
  ~Load();
  // Ends when the last request has.
  Task<> run();

  [[nodiscard]] static std::string body_of(const LoadPlan& plan, std::uint64_t number);

 private:
  Task<> ask(std::uint64_t number, TimePoint due);
  Task<Sample> answer_to(std::uint64_t number, TimePoint due);

  asio::io_context& loop_;
  const LoadPlan plan_;
  std::function<void(const Sample&)> on_sample_;
  LoopTimers timers_;
  http::Resolver resolver_;
  http::ClientPool pool_;
  http::Origin origin_;
  std::string path_;
  TimePoint began_at_{};
  std::uint64_t under_way_ = 0;
  Event done_;
};

}  // namespace spillway::bench
