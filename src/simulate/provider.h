// A simulated provider on a port of this machine.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>

#include "base/loop.h"
#include "base/loop_timers.h"
#include "base/result.h"
#include "config/config.h"
#include "http/stream.h"
#include "simulate/choice.h"
#include "simulate/profile.h"

namespace spillway::simulate {

// Speaks the OpenAI chat API in its own framing, since it has to be able to break it. One thread: that of `loop`.
//   POST …/chat/completions; GET …/models
//   A model named "fault:NAME" is struck by that fault, whatever the profile says.
//   GET /simulate/stats: what it has answered, as JSON; GET /simulate/requests: the last kKept requests and their ends
class Provider {
 public:
  static constexpr std::size_t kKept = 1'000;          // requests
  static constexpr std::size_t kKeptBody = 64u << 10;  // bytes of each

  Provider(asio::io_context& loop, Profile profile);
  ~Provider();

  // Binds and listens; the port that was taken, where `address` has port 0.
  Result<std::uint16_t> listen(const config::Address& address);
  // Accepts from now on, while the loop runs.
  void start();
  // Its day begins now, rather than when it was made.
  void begin_day() { began_at_ = now(); }
  // Accepts no more, and ends all connections, which takes the loop a moment: until connections() is 0.
  void stop();
  [[nodiscard]] std::size_t connections() const { return connections_.size(); }

  // What a request came to.
  struct Record {
    std::uint64_t number = 0;
    std::string path;
    std::string authorization;  // its first word and its length: no secret
    std::string body;
    std::string fault;  // empty: none
    std::string form;   // in which it told a part of an answer; empty: it told none
    int status = 0;
    std::string end;  // "answered", "broken" (as the fault has it), "client_left", "" while it goes on
    int tokens = 0;   // that went out
  };
  struct Stats {
    std::uint64_t requests = 0;
    std::uint64_t answered = 0;
    std::uint64_t broken = 0;
    std::uint64_t clients_left = 0;
    std::int64_t prompt_tokens = 0;      // of what was answered or broke
    std::int64_t completion_tokens = 0;  // that went out
  };
  [[nodiscard]] const Stats& stats() const { return stats_; }
  [[nodiscard]] std::string stats_json() const;
  [[nodiscard]] std::string requests_json() const;
  // Called at the end of each request.
  void on_end(std::function<void(const Record&)> callback) { on_end_ = std::move(callback); }

 private:
  class Connection;

  Task<> accept();
  void began(const Record& record);
  void ended(const Record& record);

  asio::io_context& loop_;
  LoopTimers timers_;
  const Profile profile_;
  const Chooser chooser_;
  TimePoint began_at_;  // its day
  asio::basic_socket_acceptor<asio::ip::tcp, Executor> acceptor_;
  std::unordered_set<Connection*> connections_;
  std::uint64_t next_number_ = 0;
  Stats stats_;
  std::deque<Record> records_;
  std::function<void(const Record&)> on_end_;
};

}  // namespace spillway::simulate
