#include "route/prefix_map.h"

#include <algorithm>
#include <numeric>

namespace spillway::route {

namespace {

constexpr std::uint64_t kSeed = 0x9e3779b97f4a7c15;
constexpr int kTagShift = 32;
constexpr std::uint64_t kBlockTokens = kPrefixBlockTokens;
constexpr double kAlike = 32;  // tokens: a smaller difference is none
// What is computed once more delays those behind it as well: so a token of the prompt counts more than one in flight.
// Without that, requests run from a warm Replica for a moment's queue, and in the end each one has to hold everything.
constexpr double kTwice = 2;
constexpr double kFull = 1e9;  // tokens: whoever has room comes first

// MurmurHash3's finalizer: each bit of the input changes about half of those of the output.
std::uint64_t mix(std::uint64_t value) {
  value ^= value >> 33;
  value *= 0xff51afd7ed558ccd;
  value ^= value >> 33;
  value *= 0xc4ceb9fe1a85ec53;
  return value ^ (value >> 33);
}

std::uint64_t hash_block(std::uint64_t before, std::string_view block) {
  std::uint64_t hash = before;
  for (std::size_t at = 0; at + sizeof(std::uint64_t) <= block.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::copy_n(block.data() + at, sizeof word, reinterpret_cast<char*>(&word));
    hash = mix(hash ^ word) + kSeed;
  }
  return hash;
}

}  // namespace

PrefixChain prefix_chain(std::string_view input) {
  PrefixChain out;
  const std::size_t blocks = std::min(input.size() / kPrefixBlock, kPrefixBlocks);
  out.reserve(blocks);
  std::uint64_t hash = kSeed;
  for (std::size_t i = 0; i < blocks; ++i) {
    hash = hash_block(hash, input.substr(i * kPrefixBlock, kPrefixBlock));
    out.push_back(hash);
  }
  return out;
}

PrefixMap::PrefixMap() : entries_(std::make_unique<std::array<std::atomic<std::uint64_t>, kEntries>>()) {}

std::size_t PrefixMap::place_of(std::uint64_t hash, std::size_t replica) {
  return mix(hash ^ (replica + 1)) % kEntries;
}

double PrefixMap::held(const PrefixChain& chain, std::size_t replica, double capacity) const {
  if (replica >= kReplicas) return 0;
  const auto given = static_cast<std::uint32_t>(given_[replica].load(std::memory_order_relaxed) / kBlockTokens);
  std::size_t count = 0;
  for (const std::uint64_t hash : chain) {
    const std::uint64_t entry = (*entries_)[place_of(hash, replica)].load(std::memory_order_relaxed);
    const std::uint32_t since = given - static_cast<std::uint32_t>(entry);
    if (entry >> kTagShift != hash >> kTagShift || since * static_cast<double>(kBlockTokens) > capacity) break;
    ++count;
  }
  return static_cast<double>(count * kBlockTokens);
}

void PrefixMap::note(const PrefixChain& chain, std::size_t replica, double computed) {
  if (replica >= kReplicas) return;
  const std::uint64_t given =
      given_[replica].fetch_add(static_cast<std::uint64_t>(computed), std::memory_order_relaxed);
  const auto blocks = static_cast<std::uint32_t>((given + static_cast<std::uint64_t>(computed)) / kBlockTokens);
  for (const std::uint64_t hash : chain) {
    (*entries_)[place_of(hash, replica)].store(hash >> kTagShift << kTagShift | blocks, std::memory_order_relaxed);
  }
}

Balanced balance(std::span<const ReplicaLoad> replicas, const PrefixChain& chain, double prompt_tokens,
                 std::uint64_t salt) {
  std::vector<double> costs(replicas.size());
  std::vector<std::uint64_t> draws(replicas.size());
  Balanced out;
  out.computed.resize(replicas.size());
  const std::uint64_t beginning = chain.empty() ? salt : chain.front();
  for (std::size_t i = 0; i < replicas.size(); ++i) {
    const ReplicaLoad& replica = replicas[i];
    out.computed[i] = std::max(prompt_tokens - replica.held, 0.0);
    costs[i] =
        replica.tokens + kTwice * out.computed[i] + (replica.full ? kFull : 0) + (replica.usable ? 0 : 2 * kFull);
    draws[i] = mix(beginning ^ mix(replica.number + 1));
  }
  out.order.resize(replicas.size());
  std::iota(out.order.begin(), out.order.end(), 0u);
  const double least = costs.empty() ? 0 : *std::ranges::min_element(costs);
  std::ranges::sort(out.order, [&](std::uint32_t a, std::uint32_t b) {
    const bool good_a = costs[a] <= least + kAlike;
    const bool good_b = costs[b] <= least + kAlike;
    if (good_a != good_b) return good_a;
    if (good_a) return draws[a] > draws[b];
    return costs[a] < costs[b];
  });
  return out;
}

}  // namespace spillway::route
