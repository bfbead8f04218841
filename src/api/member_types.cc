#include "api/member_types.h"

#include <algorithm>
#include <array>
#include <utility>

namespace spillway::api {

namespace {

struct MemberType {
  std::string_view name;
  std::uint8_t types;
};

// In the order of their names. The APIs do not contradict each other; what is not here may hold anything.
constexpr auto kMemberTypes = std::to_array<MemberType>({
    {"dimensions", kWhole},
    {"encoding_format", kText},
    {"format", kText | kObject},
    {"frequency_penalty", kNumber},
    {"instructions", kText},
    {"logprobs", kFlag | kWhole},
    {"max_completion_tokens", kWhole},
    {"max_output_tokens", kWhole},
    {"max_tokens", kWhole},
    {"metadata", kObject},
    {"min_p", kNumber},
    {"modalities", kList},
    {"n", kWhole},
    {"options", kObject},
    {"output_config", kObject},
    {"parallel_tool_calls", kFlag},
    {"presence_penalty", kNumber},
    {"previous_response_id", kText},
    {"reasoning", kObject},
    {"reasoning_effort", kText},
    {"repeat_penalty", kNumber},
    {"response_format", kObject},
    {"seed", kWhole},
    {"service_tier", kText},
    {"stop", kText | kList},
    {"stop_sequences", kList},
    {"store", kFlag},
    {"stream_options", kObject},
    {"system", kText | kList},
    {"temperature", kNumber},
    {"think", kFlag | kText},
    {"thinking", kObject},
    {"tool_choice", kText | kObject},
    {"tools", kList},
    {"top_k", kNumber},
    {"top_logprobs", kWhole},
    {"top_p", kNumber},
    {"user", kText},
});
static_assert(std::ranges::is_sorted(kMemberTypes, {}, &MemberType::name));

}  // namespace

bool is_of(std::string_view token, std::uint8_t kinds) {
  switch (token.empty() ? 'n' : token.front()) {
    case 'n': return true;
    case '"': return (kinds & kText) != 0;
    case '[': return (kinds & kList) != 0;
    case '{': return (kinds & kObject) != 0;
    case 't':
    case 'f': return (kinds & kFlag) != 0;
    default: break;
  }
  return (kinds & (kNumber | kWhole)) != 0;
}

std::string why_not(std::string_view key, std::string_view token) {
  const auto* const known = std::ranges::lower_bound(kMemberTypes, key, {}, &MemberType::name);
  if (known == kMemberTypes.end() || known->name != key || is_of(token, known->types)) return {};
  std::string out;
  constexpr std::array<std::pair<std::uint8_t, std::string_view>, 6> kWords{{{kText, "a string"},
                                                                             {kNumber, "a number"},
                                                                             {kWhole, "a whole number"},
                                                                             {kFlag, "true or false"},
                                                                             {kList, "an array"},
                                                                             {kObject, "an object"}}};
  for (const auto& [type, word] : kWords) {
    if ((known->types & type) != 0) out.append(out.empty() ? "" : " or ").append(word);
  }
  return out;
}

}  // namespace spillway::api
