// What is known of providers and servers, so that a [[backend]] needs only `preset = "NAME"`.
#pragma once

#include <span>
#include <string_view>

#include "base/dialect.h"
#include "config/model_facts.h"

namespace spillway::config {

// How a key is sent.
enum class KeyField { kBearer, kApiKey };  // "Authorization: Bearer KEY", "x-api-key: KEY"

struct Preset {
  std::string_view name;
  std::string_view family = {};  // whose quirks, prices and errors it shares; empty: it has its own
  Dialect kind = Dialect::kOpenAi;
  std::string_view base_url = {};            // for kind = "openai" and "ollama"; empty: only the user knows it
  std::string_view base_hint = {};           // how it looks then
  std::string_view anthropic_base_url = {};  // for kind = "anthropic"; empty: it does not speak that, or nobody knows
  KeyField anthropic_key = KeyField::kApiKey;
  Tier tier = Tier::kCloud;
  std::string_view region = {};         // empty: depends
  std::string_view key_variable = {};   // where its SDK looks for the key; empty: it needs none
  std::string_view default_model = {};  // asked for by the embedded default; empty: not used there
  std::string_view read_on = {};        // when the provider's pages were read; models are retired within months
  std::string_view resume = {};         // what `resume = "auto"` tries first; empty: not known
  // Where its own host is asked to continue, in place of the base URL's path "" or "/v1"; empty: where it is asked
  // first.
  std::string_view resume_path = {};
};

// In the order in which the embedded default asks them.
std::span<const Preset> presets();

// Null: there is none of that name.
const Preset* find_preset(std::string_view name);

// The preset itself, or the one whose ways it shares. The same text where there is none of that name.
std::string_view family_of(std::string_view preset);

}  // namespace spillway::config
