// What Ollama's clients ask before they chat: which models there are, what each can do.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace spillway::api::ollama {

// The version of Ollama's API that is spoken here: some clients want one that is new enough.
inline constexpr std::string_view kSpokenVersion = "0.13.5";

struct Listed {
  std::string name;
  std::string backend;       // that is asked first
  bool local = false;        // it runs on this machine
  std::int64_t context = 0;  // tokens; 0: not known
};

// GET /api/tags, and GET /api/ps for those that are running. `moment`: seconds since 1970.
std::string render_list(const std::vector<Listed>& models, std::int64_t moment, bool running);
// POST /api/show.
std::string render_details(const Listed& model, std::int64_t moment);
// GET /api/version.
std::string render_version();

// The model that a body of /api/show names, by its new or its old member; empty: none.
std::string shown_model(std::string_view body);

}  // namespace spillway::api::ollama
