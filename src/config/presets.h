// What is known of providers and servers, so that a [[backend]] needs only `preset = "NAME"`.
#pragma once

#include <span>
#include <string_view>

#include "base/dialect.h"

namespace spillway::config {

struct Preset {
  std::string_view name;
  Dialect kind;
  std::string_view base_url;
  Tier tier;
  std::string_view region;         // empty: depends
  std::string_view key_variable;   // where its SDK looks for the key; empty: it needs none
  std::string_view default_model;  // asked for by the embedded default; empty: not used there
  std::string_view read_on;        // when the provider's pages were read; models are retired within months
};

// In the order in which the embedded default asks them.
std::span<const Preset> presets();

// Null: there is none of that name.
const Preset* find_preset(std::string_view name);

}  // namespace spillway::config
