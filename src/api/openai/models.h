// GET /v1/models and /v1/models/ID.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace spillway::api::openai {

struct ModelEntry {
  std::string id;
  std::string owned_by;  // the Backend that is asked first
};

// {"object":"list","data":[…]}; `created` is the same for all: seconds since 1970.
std::string render_models(const std::vector<ModelEntry>& models, long long created);
std::string render_model(const ModelEntry& model, long long created);

}  // namespace spillway::api::openai
