// Which beginning of a conversation each slot of a llama.cpp engine holds: the keys and values of that need not be
// computed again.
//
// Left to itself, llama-server gives a request to the slot whose text is most like its own, from a tenth on:
// conversations with one system prompt drive each other out of one slot while others are idle, and nobody outside knows
// what is held. So Spillway chooses the slot (`id_slot` of the request) and knows. The engine's cache of prompts that
// have lost their slot (`--cache-ram`) is followed as its source has it (tools/server/server-task.cpp,
// server_prompt_cache).
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace spillway::backend {

// A beginning is a chain of hashes (route::PrefixChain), one for each so many bytes: counted in links here. Shared by
// all threads.
class SlotBook {
 public:
  using Chain = std::span<const std::uint64_t>;

  // A slot for one request, as long as this is there.
  class Claim {
   public:
    Claim() = default;
    Claim(Claim&& other) noexcept
        : book_(std::exchange(other.book_, nullptr)), slot_(other.slot_), turn_(other.turn_), held_(other.held_) {}
    Claim& operator=(Claim&& other) noexcept;
    ~Claim() { give_back(); }

    [[nodiscard]] bool has_slot() const { return book_ != nullptr; }
    [[nodiscard]] std::size_t slot() const { return slot_; }
    // Without it the engine is taken not to have got as far as to hold the request's text.
    void answered() { held_ = true; }

   private:
    friend class SlotBook;
    Claim(SlotBook& book, std::size_t slot, std::uint64_t turn) : book_(&book), slot_(slot), turn_(turn) {}
    void give_back();

    SlotBook* book_ = nullptr;
    std::size_t slot_ = 0;
    std::uint64_t turn_ = 0;
    bool held_ = false;
  };

  // Another engine: it has `slots`, which are empty, and a cache of `kept` links beside them.
  void begin_anew(std::size_t slots, std::size_t kept);

  // Nothing is known of an engine that chooses its slots itself, or has none.
  [[nodiscard]] bool knows() const {
    const MutexLock lock(mutex_);
    return !slots_.empty();
  }

  // The free slot whose choice costs the least computing: of this request, and of those whose text it would overwrite,
  // the more the later they were used. Without a slot where none is free: then the engine chooses.
  Claim claim(Chain chain);

  // How many links of `chain` would not be computed if it came now.
  [[nodiscard]] std::size_t held(Chain chain) const;

 private:
  struct Slot {
    std::vector<std::uint64_t> chain;
    std::uint64_t used = 0;  // the turn in which it was claimed or given back
    bool busy = false;
  };
  using Kept = std::list<std::vector<std::uint64_t>>;

  [[nodiscard]] std::size_t choose(Chain chain) const SPILLWAY_REQUIRES(mutex_);
  [[nodiscard]] Kept::const_iterator best_kept(Chain chain, std::size_t at_least) const SPILLWAY_REQUIRES(mutex_);
  void keep(const std::vector<std::uint64_t>& chain) SPILLWAY_REQUIRES(mutex_);
  void give_back(std::size_t slot, std::uint64_t turn, bool held);

  mutable Mutex mutex_;
  std::vector<Slot> slots_ SPILLWAY_GUARDED_BY(mutex_);
  Kept kept_ SPILLWAY_GUARDED_BY(mutex_);  // the oldest first
  std::size_t kept_links_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  std::size_t most_kept_ SPILLWAY_GUARDED_BY(mutex_) = 0;
  std::uint64_t turn_ SPILLWAY_GUARDED_BY(mutex_) = 0;  // counts claims and returns
};

}  // namespace spillway::backend
