// Golden test: what goes to each preset's provider, in each Dialect that it speaks, up to the fields of one request.
// SPILLWAY_UPDATE_GOLDEN=1 writes presets.expected anew: look at the difference before it is committed.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "backend/backend.h"
#include "config/load.h"

namespace spillway::backend {
namespace {

std::string bytes_for(const config::Preset& preset, Dialect kind) {
  std::string address;
  if (kind == Dialect::kOpenAi && preset.base_url.empty())
    address = "\nbase_url = \"https://RESOURCE.example/openai/v1\"";
  const std::string toml =
      "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\n[[backend]]\nname = \"x\"\npreset = \"" +
      std::string(preset.name) + "\"\nkind = \"" + std::string(to_string(kind)) + "\"" + address + "\n";
  const auto loaded = config::load_text(toml, "presets.toml", [&](const std::string& name) {
    return name == preset.key_variable ? std::optional<std::string>("KEY-OF-" + name) : std::nullopt;
  });
  if (!loaded.config) return {};
  record::Metrics metrics;
  const auto backend = *Backend::make(loaded.config->backends.front(), metrics.add_thread());
  const auto endpoint = *api::endpoint_at(kind, api::Endpoint::kChat);
  std::string out = "=== " + std::string(preset.name) + ", kind = " + std::string(to_string(kind)) + ", at " +
                    (backend->origin().url.tls ? "https" : "http") + " port " +
                    std::to_string(backend->origin().url.port) + "\n" + backend->head(endpoint);
  if (backend->resume_head(endpoint) != backend->head(endpoint))
    out +=
        "to continue: " + backend->resume_head(endpoint).substr(0, backend->resume_head(endpoint).find("\r\n")) + "\n";
  out += backend->list_request().substr(0, backend->list_request().find("\r\n")) + "\n";
  std::erase(out, '\r');
  return out;
}

TEST(PresetBytes, are_what_each_provider_wants) {
  std::string told;
  for (const config::Preset& preset : config::presets()) {
    for (const Dialect kind : {Dialect::kOpenAi, Dialect::kAnthropic}) {
      if (kind == Dialect::kAnthropic && preset.anthropic_base_url.empty()) continue;
      const std::string bytes = bytes_for(preset, kind);
      EXPECT_FALSE(bytes.empty()) << preset.name;
      told += bytes;
    }
  }
  const std::string file = SPILLWAY_SOURCE_DIR "/tests/backend/presets.expected";
  if (std::getenv("SPILLWAY_UPDATE_GOLDEN") != nullptr) std::ofstream(file) << told;
  std::ostringstream expected;
  expected << std::ifstream(file).rdbuf();
  EXPECT_EQ(told, expected.str());
}

TEST(Presets, each_says_when_its_pages_were_read_and_how_an_answer_is_gone_on_with) {
  for (const config::Preset& preset : config::presets()) {
    EXPECT_EQ(preset.read_on.size(), 10u) << preset.name;
    EXPECT_TRUE(api::resume_form_of(preset.resume)) << preset.name;
    if (!preset.family.empty()) EXPECT_NE(config::find_preset(preset.family), nullptr) << preset.name;
    if (preset.tier == Tier::kCloud) EXPECT_FALSE(preset.key_variable.empty()) << preset.name;
  }
}

}  // namespace
}  // namespace spillway::backend
