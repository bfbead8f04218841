#include "http/resolver.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/post.hpp>
#include <system_error>
#include <thread>

#include "base/mutex.h"

namespace spillway::http {

namespace {

Resolver::Found ask_the_system(const std::string& host) {
  Resolver::Found found;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &list);
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    asio::ip::tcp::endpoint endpoint;
    if (one->ai_addrlen > endpoint.capacity()) continue;
    std::copy_n(reinterpret_cast<const char*>(one->ai_addr), one->ai_addrlen, reinterpret_cast<char*>(endpoint.data()));
    endpoint.resize(one->ai_addrlen);
    found.addresses.push_back(endpoint.address());
  }
  if (list != nullptr) ::freeaddrinfo(list);
  if (found.addresses.empty()) {
    found.status = error == EAI_AGAIN ? ErrorStatus(asio::error::host_not_found_try_again)
                                      : ErrorStatus(asio::error::host_not_found);
  }
  return found;
}

void put_first(std::vector<asio::ip::address>& addresses, const std::optional<asio::ip::address>& wanted) {
  if (!wanted) return;
  const auto at = std::find(addresses.begin(), addresses.end(), *wanted);
  if (at != addresses.end()) std::rotate(addresses.begin(), at, at + 1);
}

}  // namespace

Resolver::Resolver(asio::io_context& loop, LoopTimers& timers) : Resolver(loop, timers, ask_the_system) {}

Resolver::Resolver(asio::io_context& loop, LoopTimers& timers, Lookup lookup)
    : timers_(timers), lookup_(std::move(lookup)), mailbox_(std::make_shared<Mailbox>()) {
  mailbox_->loop = &loop;
  mailbox_->resolver = this;
}

Resolver::~Resolver() {
  const MutexLock lock(mailbox_->mutex);
  mailbox_->loop = nullptr;
  mailbox_->resolver = nullptr;
}

std::shared_ptr<Resolver::Entry> Resolver::entry_of(const std::string& host) {
  std::shared_ptr<Entry>& entry = entries_[host];
  if (!entry) entry = std::make_shared<Entry>();
  const seconds lasts = entry->found.addresses.empty() || entry->found.status ? kFailedFor : kFresh;
  if (!entry->refreshing && (!entry->looked_up || now() - *entry->looked_up > lasts)) refresh(host, *entry);
  return entry;
}

void Resolver::refresh(const std::string& host, Entry& entry) {
  entry.refreshing = true;
  try {
    std::thread([mailbox = mailbox_, lookup = lookup_, host] {
      Found found = lookup(host);
      const MutexLock lock(mailbox->mutex);
      if (mailbox->loop == nullptr) return;
      asio::post(*mailbox->loop, [mailbox, host, found = std::move(found)]() mutable {
        if (mailbox->resolver != nullptr) mailbox->resolver->learn(host, std::move(found));
      });
    }).detach();
  } catch (const std::system_error&) {  // no thread to be had: as good as no answer
    entry.refreshing = false;
    entry.looked_up = now();
    entry.found.status = asio::error::host_not_found_try_again;
  }
}

void Resolver::learn(const std::string& host, Found found) {
  const std::shared_ptr<Entry> entry = entries_[host];
  entry->refreshing = false;
  entry->looked_up = now();
  entry->found.status = found.status;
  if (!found.addresses.empty()) {
    entry->found.addresses = std::move(found.addresses);
    put_first(entry->found.addresses, entry->preferred);
  }
  entry->waiters.notify_all();
}

void Resolver::warm(const std::string& host) {
  ErrorStatus not_literal;
  asio::ip::make_address(host, not_literal);
  if (not_literal) entry_of(host);
}

void Resolver::prefer(const std::string& host, const asio::ip::address& address) {
  const auto entry = entries_.find(host);
  if (entry == entries_.end()) return;
  entry->second->preferred = address;
  put_first(entry->second->found.addresses, address);
}

Task<Resolver::Answer> Resolver::resolve(std::string host, std::uint16_t port, TimePoint until, WaitList::Node* wake) {
  Answer answer;
  ErrorStatus not_literal;
  const asio::ip::address literal = asio::ip::make_address(host, not_literal);
  if (!not_literal) {
    answer.endpoints.emplace_back(literal, port);
    co_return answer;
  }
  const std::shared_ptr<Entry> entry = entry_of(host);
  if (entry->found.addresses.empty() && entry->refreshing) {
    WaitList::Node own;
    WaitList::Node& known = wake != nullptr ? *wake : own;
    bool late = false;
    LoopTimers::Entry timer(timers_, [&known, &late] {
      late = true;
      known.event.notify();
    });
    timer.arm(until);
    entry->waiters.add(known);
    co_await known.event.wait();
    known.unlink();
    if (late) {
      answer.status = asio::error::timed_out;
      co_return answer;
    }
  }
  if (entry->found.addresses.empty()) {
    answer.status = entry->found.status ? entry->found.status : ErrorStatus(asio::error::host_not_found);
  }
  for (const auto& address : entry->found.addresses) answer.endpoints.emplace_back(address, port);
  co_return answer;
}

}  // namespace spillway::http
