// What is known of models, by the preset they are asked at and their name: prices, how their thinking is switched off,
// what they refuse.
#pragma once

#include <optional>
#include <string_view>

namespace spillway::config {

struct Target;
struct Backend;

// US dollars per million tokens, outside of the provider's peak hours.
struct Price {
  double input = 0;
  double output = 0;
};
// What `model` costs at a Backend with that preset. Nothing: not known.
std::optional<Price> find_price(std::string_view preset, std::string_view model);

// What a request to `target` costs, at `backend`: as the Config has it, else as it is known. Nothing: it is not.
std::optional<Price> price_of(const Target& target, const Backend& backend);

// What a model takes of a request that was written for another API.
struct Traits {
  bool open_sampling = false;          // top_k, min_p and the like, in OpenAI's form
  bool takes_reasoning = true;         // its reasoning of earlier turns
  bool takes_effort = false;           // reasoning_effort
  bool max_completion_tokens = false;  // in place of max_tokens
  bool may_be_silenced = false;        // its thinking can be switched off
  bool fixed_sampling = false;         // temperature and top_p are refused
  bool nine_letter_ids = false;        // of tool calls; others are refused
};
Traits find_traits(std::string_view preset, std::string_view model);

// A member of a request that switches a model's thinking off: a name at the top, or there the name of an object and a
// name in it; and the value, as JSON text.
struct ThinkingSwitch {
  std::string_view object;  // empty: `name` is at the top
  std::string_view name;
  std::string_view value;
};

// For a model at a Backend with that preset. Null: it cannot be switched off, or nobody knows how.
const ThinkingSwitch* find_thinking_switch(std::string_view preset, std::string_view model);

}  // namespace spillway::config
