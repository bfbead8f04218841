#include "serve/banner.h"

#include <algorithm>

#include "base/json_text.h"
#include "base/version.h"

namespace spillway::serve {

namespace {

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string describe(const config::Backend& backend) {
  if (backend.on_demand()) return backend.model + " on " + backend.engine + ", loaded when it is asked for";
  if (backend.is_local()) return backend.model + " on " + backend.engine + ", loading now";
  return backend.base_url;
}

// A model name that the first Route knows: its own, or what its first Target is asked for.
std::string example_model(const config::Config& config) {
  for (const config::Route& route : config.routes) {
    if (route.model.find_first_of("*?") == std::string::npos) return route.model;
    for (const config::Target& target : route.targets) {
      if (!target.model.empty()) return target.model;
      for (const config::Backend& backend : config.backends) {
        if (backend.name == target.backend && backend.is_local()) return backend.model;
      }
    }
  }
  return "default";
}

// Inside '…' of a shell: a quote ends, adds a quoted quote, and goes on.
std::string shell_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

}  // namespace

std::string url_of(const config::Address& address, bool tls) {
  config::Address shown = address;
  if (shown.host == "0.0.0.0") shown.host = "127.0.0.1";
  if (shown.host == "::") shown.host = "::1";
  return (tls ? "https://" : "http://") + shown.to_string();
}

std::string banner(const config::Config& config) {
  const std::string url = url_of(config.server.listen, config.server.tls.has_value());
  std::string out = "\nSpillway " + std::string(version()) + "\n\n";
  out += "  OpenAI API   " + url + "/v1\n";
  out += "  metrics      " + url_of(config.server.admin_listen) + "/metrics   (spillway status tells the rest)\n";
  out += "  config       " + (config.file.empty() ? "the embedded default" : config.file.string()) + "\n";
  std::size_t width = 0;
  for (const config::Backend& backend : config.backends) width = std::max(width, backend.name.size());
  for (std::size_t i = 0; i < config.backends.size(); ++i) {
    const config::Backend& backend = config.backends[i];
    out += (i == 0 ? "  backends     " : "               ") + padded(backend.name, width + 2) +
           padded(std::string(to_string(backend.tier)), 8) + describe(backend) + "\n";
  }
  std::string body = "{\"model\":";
  json::append_string(body, example_model(config));
  body += R"(,"stream":true,"messages":[{"role":"user","content":"Why is the sky blue?"}]})";
  out += "\nTry it:\n\n  curl -N " + url + "/v1/chat/completions -H 'Content-Type: application/json' \\\n    -d " +
         shell_quoted(body) + "\n\n";
  return out;
}

}  // namespace spillway::serve
