#include "http/warmer.h"

#include <algorithm>

#include "base/spawn.h"

namespace spillway::http {

Warmer::Warmer(asio::io_context& loop, LoopTimers& timers, ClientPool& pool, Resolver& resolver)
    : loop_(loop), pool_(pool), resolver_(resolver), timer_(timers, [this] { look(); }) {
  pool_.on_none_idle([this](const std::string& key) { gone(key); });
}

Warmer::~Warmer() {
  pool_.on_none_idle({});
  for (auto& [key, kept] : kept_) {
    if (kept.opening) kept.opening->abort();
  }
}

void Warmer::keep(const std::vector<Origin>& origins) {
  std::map<std::string, Kept> next;
  for (std::size_t rank = 0; const Origin& origin : origins) {
    auto old = kept_.extract(origin.key);
    if (old) {
      old.mapped().origin = origin;
      next.insert(std::move(old));
    } else {
      next[origin.key].origin = origin;
    }
    next[origin.key].named_at = now();
    next[origin.key].rank = rank++;
  }
  kept_ = std::move(next);
  if (!kept_.empty()) timer_.arm(now());
}

// The last idle connection to that origin has ended.
void Warmer::gone(const std::string& key) {
  const auto found = kept_.find(key);
  if (found == kept_.end()) return;
  if (now() - found->second.opened_at < kShortLife) {
    put_off(found->second);
  } else {
    found->second.pause = kFirstPause;
    found->second.not_before = now() + kFirstPause;
  }
  timer_.arm(now());
}

void Warmer::put_off(Kept& kept) {
  kept.not_before = now() + kept.pause;
  kept.pause = std::min<milliseconds>(2 * kept.pause, kLongestPause);
}

void Warmer::look() {
  TimePoint next = TimePoint::max();
  waiting_ = false;
  for (auto& [key, kept] : kept_) {
    if (kept.opening || pool_.idle_count(key) > 0) continue;
    const TimePoint used_at = pool_.last_taken(key);
    if (kept.rank >= kMost && used_at == TimePoint{}) continue;
    if (now() - (kept.rank < kMost ? std::max(kept.named_at, used_at) : used_at) > kAfterUse) continue;
    if (kept.not_before > now()) {
      next = std::min(next, kept.not_before);
      continue;
    }
    if (opening_ == kAtOnce) {
      waiting_ = true;  // for one of them to be open
      break;
    }
    kept.opening = pool_.make();
    ++opening_;
    spawn(loop_, "a connection kept warm", open(key, kept.origin, kept.opening),
          [this, name = key](const std::string&) {
            --opening_;
            if (const auto found = kept_.find(name); found != kept_.end()) put_off(found->second);
          });
  }
  if (next != TimePoint::max()) timer_.arm(next);
}

Task<> Warmer::open(std::string key, Origin origin, std::shared_ptr<ClientConnection> connection) {
  const ClientStatus opened = co_await connection->open(origin, resolver_, now() + kConnectTime);
  if (opened == ClientStatus::kAborted) co_return;  // by the end of this
  --opening_;
  if (waiting_) timer_.arm(now());
  const auto found = kept_.find(key);
  if (found == kept_.end() || found->second.opening != connection) {
    connection->abort();
    co_return;
  }
  Kept& kept = found->second;
  kept.opening.reset();
  if (opened == ClientStatus::kOk) {
    kept.opened_at = now();
    pool_.add_idle(std::move(connection));
  } else {
    put_off(kept);
    if (!waiting_) timer_.arm(kept.not_before);
  }
}

}  // namespace spillway::http
