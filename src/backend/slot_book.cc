#include "backend/slot_book.h"

#include <algorithm>
#include <numeric>

#include "base/mutex.h"

namespace spillway::backend {

namespace {

constexpr std::size_t kMostEntries = 1024;  // of the cache; what is looked through for each request
// How often a text is going to be wanted again, whether it was used longest ago or just now. More than once: what is
// behind its last whole link, its answer, is not counted.
constexpr double kOldest = 0.5;
constexpr double kLatest = 1.5;
constexpr double kSavedBelow = 0.5;   // of a slot's text that a request keeps: the rest is saved before it is lost
constexpr double kLoadedFrom = 0.25;  // of a saved text that a request must share

std::size_t shared_links(SlotBook::Chain a, SlotBook::Chain b) {
  return static_cast<std::size_t>(std::ranges::mismatch(a, b).in1 - a.begin());
}

double share(std::size_t part, std::size_t whole) {
  return whole == 0 ? 1 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

SlotBook::Claim& SlotBook::Claim::operator=(Claim&& other) noexcept {
  std::swap(book_, other.book_);
  std::swap(slot_, other.slot_);
  std::swap(turn_, other.turn_);
  std::swap(held_, other.held_);
  return *this;
}

void SlotBook::Claim::give_back() {
  if (book_ != nullptr) book_->give_back(slot_, turn_, held_);
  book_ = nullptr;
}

void SlotBook::begin_anew(std::size_t slots, std::size_t kept) {
  const MutexLock lock(mutex_);
  slots_.assign(slots, {});
  kept_.clear();
  kept_links_ = 0;
  most_kept_ = kept;
}

std::size_t SlotBook::choose(Chain chain) const {
  std::vector<std::pair<std::uint64_t, std::size_t>> free;  // when it was used last, which
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i].busy) free.emplace_back(slots_[i].used, i);
  }
  std::ranges::sort(free);
  std::size_t best = slots_.size();
  double least = 0;
  for (std::size_t rank = 0; rank < free.size(); ++rank) {
    const std::vector<std::uint64_t>& text = slots_[free[rank].second].chain;
    const std::size_t same = shared_links(chain, text);
    const double wanted_again = kOldest + (kLatest - kOldest) * share(rank + 1, free.size());
    const double cost =
        static_cast<double>(chain.size() - same) + wanted_again * static_cast<double>(text.size() - same);
    if (best == slots_.size() || cost < least) {
      best = free[rank].second;
      least = cost;
    }
  }
  return best;
}

// Of more links than `at_least`; end(): none.
SlotBook::Kept::const_iterator SlotBook::best_kept(Chain chain, std::size_t at_least) const {
  auto best = kept_.end();
  for (auto it = kept_.begin(); it != kept_.end(); ++it) {
    const std::size_t same = shared_links(chain, *it);
    if (same <= at_least || share(same, it->size()) < kLoadedFrom) continue;
    best = it;
    at_least = same;
  }
  return best;
}

// Behind the others; what begins it is contained in it, and what it begins contains it.
void SlotBook::keep(const std::vector<std::uint64_t>& chain) {
  if (chain.empty() || chain.size() > most_kept_) return;
  if (std::ranges::any_of(kept_, [&](const auto& one) { return shared_links(one, chain) == chain.size(); })) return;
  const auto drop = [this](Kept::iterator it) SPILLWAY_REQUIRES(mutex_) {
    kept_links_ -= it->size();
    return kept_.erase(it);
  };
  for (auto it = kept_.begin(); it != kept_.end();) {
    it = shared_links(*it, chain) == it->size() ? drop(it) : std::next(it);
  }
  kept_.push_back(chain);
  kept_links_ += chain.size();
  while (kept_links_ > most_kept_ || kept_.size() > kMostEntries) drop(kept_.begin());
}

SlotBook::Claim SlotBook::claim(Chain chain) {
  const MutexLock lock(mutex_);
  const std::size_t chosen = choose(chain);
  if (chosen == slots_.size()) return {};
  Slot& slot = slots_[chosen];
  const std::size_t same = shared_links(chain, slot.chain);
  if (share(same, slot.chain.size()) < kSavedBelow) {
    keep(slot.chain);
    if (const auto found = best_kept(chain, same); found != kept_.end()) {
      kept_links_ -= found->size();
      kept_.erase(found);
    }
  }
  slot.busy = true;
  slot.chain.assign(chain.begin(), chain.end());
  slot.used = ++turn_;
  // Whatever is idle is saved, so that any other slot can go on with it.
  for (const Slot& other : slots_) {
    if (!other.busy) keep(other.chain);
  }
  return {*this, chosen, slot.used};
}

void SlotBook::give_back(std::size_t slot, std::uint64_t turn, bool held) {
  const MutexLock lock(mutex_);
  if (slot >= slots_.size() || !slots_[slot].busy || slots_[slot].used != turn) return;  // of an engine that is gone
  slots_[slot].busy = false;
  slots_[slot].used = ++turn_;
  if (!held) slots_[slot].chain.clear();
}

std::size_t SlotBook::held(Chain chain) const {
  const MutexLock lock(mutex_);
  std::size_t most = 0;
  for (const Slot& slot : slots_) {
    if (!slot.busy) most = std::max(most, shared_links(chain, slot.chain));
  }
  const auto kept = best_kept(chain, most);
  return kept == kept_.end() ? most : shared_links(chain, *kept);
}

}  // namespace spillway::backend
