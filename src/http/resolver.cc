#include "http/resolver.h"

#include <boost/asio/error.hpp>

namespace spillway::http {

Resolver::Resolver(asio::io_context& loop, LoopTimers& timers) : loop_(loop), timers_(timers) {}

std::shared_ptr<Resolver::Entry> Resolver::entry_of(const std::string& host) {
  std::shared_ptr<Entry>& entry = entries_[host];
  if (!entry) entry = std::make_shared<Entry>();
  if (!entry->refreshing && (entry->addresses.empty() || now() - entry->looked_up > kFresh)) refresh(host, entry);
  return entry;
}

void Resolver::refresh(const std::string& host, const std::shared_ptr<Entry>& entry) {
  entry->refreshing = true;
  auto lookup = std::make_shared<Lookup>(loop_);
  lookup->async_resolve(host, "", [entry, lookup](const ErrorStatus& ec, const Lookup::results_type& results) {
    entry->refreshing = false;
    entry->looked_up = now();  // a name that fails is asked again no sooner either
    entry->status = ec;
    if (!ec && !results.empty()) {
      entry->addresses.clear();
      for (const auto& result : results) entry->addresses.push_back(result.endpoint().address());
    }
    const std::vector<Event*> waiters = std::exchange(entry->waiters, {});
    for (Event* waiter : waiters) waiter->notify();
  });
}

void Resolver::warm(const std::string& host) {
  ErrorStatus not_literal;
  asio::ip::make_address(host, not_literal);
  if (not_literal) entry_of(host);
}

Task<Resolver::Answer> Resolver::resolve(std::string host, std::uint16_t port, TimePoint until, Event* wake) {
  Answer answer;
  ErrorStatus not_literal;
  const asio::ip::address literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) {
    answer.endpoints.emplace_back(literal, port);
    co_return answer;
  }
  const std::shared_ptr<Entry> entry = entry_of(host);
  if (entry->addresses.empty() && entry->refreshing) {
    // getaddrinfo cannot be stopped, so it is only waited for; its answer serves the next request.
    Event own;
    Event& known = wake != nullptr ? *wake : own;
    bool late = false;
    LoopTimers::Entry timer(timers_, [&known, &late] {
      late = true;
      known.notify();
    });
    timer.arm(until);
    entry->waiters.push_back(&known);
    co_await known.wait();
    std::erase(entry->waiters, &known);
    if (late) {
      answer.status = asio::error::timed_out;
      co_return answer;
    }
  }
  if (entry->addresses.empty()) answer.status = entry->status ? entry->status : asio::error::host_not_found;
  for (const auto& address : entry->addresses) answer.endpoints.emplace_back(address, port);
  co_return answer;
}

}  // namespace spillway::http
