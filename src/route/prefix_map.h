// Which Replica of a Backend has lately been given which beginning of a request: that it is likely to hold the keys and
// values of, so that it need not compute them again.
//
// A request's beginning is a chain of hashes, one for each further kBlock bytes of its messages: two requests share the
// first links as far as their text is the same, whatever comes behind. No tokenizer, and nothing of the text is kept.
// After: vLLM's automatic prefix caching (chained block hashes), KubeAI's prefix hashing; what it knows may be wrong,
// which costs time alone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace spillway::route {

using PrefixChain = std::vector<std::uint64_t>;

inline constexpr std::size_t kPrefixBlock = 256;  // bytes
inline constexpr std::size_t kPrefixBlockTokens = kPrefixBlock / 4;
inline constexpr std::size_t kPrefixBlocks = 128;  // links at most: what comes behind 32 KiB is not told apart

// Of the text of a request's messages; whole blocks alone. Empty for a short one.
PrefixChain prefix_chain(std::string_view input);

// The chain of one request, made when it is first asked for. One thread; `input` outlives this.
class Beginning {
 public:
  explicit Beginning(std::string_view input) : input_(input) {}
  [[nodiscard]] const PrefixChain& chain() const {
    if (!chain_) chain_ = prefix_chain(input_);
    return *chain_;
  }

 private:
  std::string_view input_;
  mutable std::optional<PrefixChain> chain_;
};

// Of engines that hold blocks of keys and values (vLLM, SGLang, TensorRT-LLM); what llama.cpp's slots hold is known
// (backend::SlotBook). Shared by all threads, without a lock. 1 MiB. A Replica forgets what was given to it least
// recently when it has been given more tokens since than it can hold: so does this.
class PrefixMap {
 public:
  static constexpr std::size_t kReplicas = 16;  // Replicas beyond are not told apart

  PrefixMap();

  // How many tokens of the chain's text `replica` holds, if it holds `capacity` tokens.
  [[nodiscard]] double held(const PrefixChain& chain, std::size_t replica, double capacity) const;
  // It is given all of them, of which it has to compute `computed` tokens.
  void note(const PrefixChain& chain, std::size_t replica, double computed);

 private:
  static constexpr std::size_t kEntries = 1u << 17;

  [[nodiscard]] static std::size_t place_of(std::uint64_t hash, std::size_t replica);

  // Upper half: of the hash; lower half: what its Replica had been given then, in blocks.
  std::unique_ptr<std::array<std::atomic<std::uint64_t>, kEntries>> entries_;
  std::array<std::atomic<std::uint64_t>, kReplicas> given_{};  // tokens that had to be computed, since the start
};

// One Replica, as a request finds it.
struct ReplicaLoad {
  double tokens = 0;       // in flight: to be computed of prompts, and of answers that are asked for
  bool full = false;       // a request has to wait there
  bool usable = true;      // it is there, and not spared
  double held = 0;         // tokens of the prompt that it need not compute
  std::size_t number = 0;  // among the Replicas of its Backend
};

// In which order Replicas are asked, the best first: by tokens in flight, and by the tokens of the prompt that each
// would have to compute. `chain` empty: by load alone, and nothing is held. Among alikes the one that the beginning
// hashes to (rendezvous hashing), so that a new conversation goes to the same one from every gateway; `salt` stands in
// for the beginning where there is none.
struct Balanced {
  std::vector<std::uint32_t> order;
  std::vector<double> computed;  // tokens of the prompt, by Replica as they were given
};
Balanced balance(std::span<const ReplicaLoad> replicas, const PrefixChain& chain, double prompt_tokens,
                 std::uint64_t salt);

}  // namespace spillway::route
