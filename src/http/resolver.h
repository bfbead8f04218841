// Names to addresses, off the path of requests.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/loop.h"
#include "base/loop_timers.h"
#include "base/mutex.h"
#include "base/time.h"
#include "base/wait_list.h"

namespace spillway::http {

// Caches what getaddrinfo says (it tells no TTL). An entry older than kFresh is still used while it
// is refreshed in the background; a name that stops resolving keeps its last addresses. Only the
// first use of a name waits, which is why warm() is called for every Backend of a new Config. One
// per thread. The names come from the Config, so the cache is bounded by it.
//
// getaddrinfo blocks, for up to half a minute where no server answers, and cannot be stopped: each
// look-up is a thread of its own that nobody waits for, neither a request nor the end of the process.
class Resolver {
 public:
  static constexpr seconds kFresh{30};
  static constexpr seconds kFailedFor{2};  // so long a failure is the answer, before the name is asked for again

  // What a look-up says. Never both empty: without addresses, `status` tells why.
  struct Found {
    ErrorStatus status;
    std::vector<asio::ip::address> addresses;
  };
  // Called on a thread of its own. A test gives another than getaddrinfo.
  using Lookup = std::function<Found(const std::string& host)>;

  Resolver(asio::io_context& loop, LoopTimers& timers);
  Resolver(asio::io_context& loop, LoopTimers& timers, Lookup lookup);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  struct Answer {
    ErrorStatus status;  // timed_out: not known by `until`
    std::vector<asio::ip::tcp::endpoint> endpoints;
  };
  // Addresses of `host`, IPv4 and IPv6 in the system's order, with `port`. Literal addresses are
  // not looked up.
  // Notifying `wake` ends the wait early, with whatever is known then.
  Task<Answer> resolve(std::string host, std::uint16_t port, TimePoint until, WaitList::Node* wake = nullptr);

  // Looks `host` up now, so that its first request need not wait.
  void warm(const std::string& host);

  // `address` was connected to: it comes first from now on, also after a refresh.
  void prefer(const std::string& host, const asio::ip::address& address);

 private:
  struct Entry {
    Found found;
    std::optional<TimePoint> looked_up;
    std::optional<asio::ip::address> preferred;
    bool refreshing = false;
    WaitList waiters;
  };
  // How a look-up's thread finds back to a Resolver that may be gone.
  struct Mailbox {
    Mutex mutex;
    asio::io_context* loop SPILLWAY_GUARDED_BY(mutex);  // null: the Resolver is gone
    Resolver* resolver;                                 // only the loop's thread
  };

  std::shared_ptr<Entry> entry_of(const std::string& host);
  void refresh(const std::string& host, Entry& entry);
  void learn(const std::string& host, Found found);

  LoopTimers& timers_;
  Lookup lookup_;
  std::shared_ptr<Mailbox> mailbox_;
  std::unordered_map<std::string, std::shared_ptr<Entry>> entries_;
};

}  // namespace spillway::http
