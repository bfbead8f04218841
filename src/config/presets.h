// What is known of providers and servers, so that a [[backend]] needs only `preset = "NAME"`.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/dialect.h"

namespace spillway::config {

struct Target;
struct Backend;

// How a key is sent.
enum class KeyField { kBearer, kApiKey };  // "Authorization: Bearer KEY", "x-api-key: KEY"

struct Preset {
  std::string_view name;
  Dialect kind;
  std::string_view base_url;
  Tier tier;
  std::string_view region;         // empty: depends
  std::string_view key_variable;   // where its SDK looks for the key; empty: it needs none
  std::string_view default_model;  // asked for by the embedded default; empty: not used there
  std::string_view read_on;        // when the provider's pages were read; models are retired within months
  std::string_view resume = {};    // what `resume = "auto"` tries first; empty: not known
  // Where its own host is asked to continue, in place of the base URL's path "" or "/v1"; empty: where it is asked
  // first.
  std::string_view resume_path = {};
  std::string_view anthropic_base_url = {};  // for kind = "anthropic"; empty: it does not speak that
  KeyField anthropic_key = KeyField::kApiKey;
};

// In the order in which the embedded default asks them.
std::span<const Preset> presets();

// US dollars per million tokens, outside of the provider's peak hours.
struct Price {
  double input = 0;
  double output = 0;
};
// What `model` costs at a Backend with that preset. Nothing: not known.
std::optional<Price> find_price(std::string_view preset, std::string_view model);

// What a request to `target` costs, at `backend`: as the Config has it, else as it is known. Nothing: it is not.
std::optional<Price> price_of(const Target& target, const Backend& backend);

// Null: there is none of that name.
const Preset* find_preset(std::string_view name);

// What a model takes of a request that was written for another API.
struct Traits {
  bool open_sampling = false;          // top_k, min_p and the like, in OpenAI's form
  bool takes_reasoning = true;         // its reasoning of earlier turns
  bool takes_effort = false;           // reasoning_effort
  bool max_completion_tokens = false;  // in place of max_tokens
  bool may_be_silenced = false;        // its thinking can be switched off
  bool fixed_sampling = false;         // temperature and top_p are refused
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
