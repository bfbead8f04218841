// Words that several folders share: the wire API a party speaks, and where a Backend lives.
#pragma once

#include <optional>
#include <string_view>

namespace spillway {

// A wire API that a client or a Backend speaks.
enum class Dialect { kOpenAi, kAnthropic, kOllama };

constexpr std::string_view to_string(Dialect dialect) {
  switch (dialect) {
    case Dialect::kOpenAi: return "openai";
    case Dialect::kAnthropic: return "anthropic";
    case Dialect::kOllama: return "ollama";
  }
  return "?";
}

// Where a Backend lives: a provider's cloud, a machine of one's own, the user's device.
enum class Tier { kCloud, kEdge, kDevice };

constexpr std::string_view to_string(Tier tier) {
  switch (tier) {
    case Tier::kCloud: return "cloud";
    case Tier::kEdge: return "edge";
    case Tier::kDevice: return "device";
  }
  return "?";
}

}  // namespace spillway
