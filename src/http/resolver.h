// Names to addresses, off the path of requests.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/event.h"
#include "base/loop.h"
#include "base/loop_timers.h"
#include "base/time.h"

namespace spillway::http {

// Caches what getaddrinfo says (it tells no TTL). An entry older than kFresh is still used while it
// is refreshed in the background; a name that stops resolving keeps its last addresses. Only the
// first use of a name waits, which is why warm() is called for every Backend of a new Config. One
// per thread; Asio runs the look-up itself on a helper thread. The names come from the Config, so
// the cache is bounded by it.
class Resolver {
 public:
  static constexpr seconds kFresh{30};

  Resolver(asio::io_context& loop, LoopTimers& timers);

  struct Answer {
    ErrorStatus status;  // timed_out: not known by `until`
    std::vector<asio::ip::tcp::endpoint> endpoints;
  };
  // Addresses of `host`, IPv4 and IPv6 in the system's order, with `port`. Literal addresses are
  // not looked up.
  // Notifying `wake` ends the wait early, with whatever is known then.
  Task<Answer> resolve(std::string host, std::uint16_t port, TimePoint until, Event* wake = nullptr);

  // Looks `host` up now, so that its first request need not wait.
  void warm(const std::string& host);

 private:
  using Lookup = asio::ip::basic_resolver<asio::ip::tcp, Executor>;
  struct Entry {
    std::vector<asio::ip::address> addresses;
    ErrorStatus status;
    TimePoint looked_up{};
    bool refreshing = false;
    std::vector<Event*> waiters;
  };

  std::shared_ptr<Entry> entry_of(const std::string& host);
  void refresh(const std::string& host, const std::shared_ptr<Entry>& entry);

  asio::io_context& loop_;
  LoopTimers& timers_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace spillway::http
