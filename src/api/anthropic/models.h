// GET /v1/models as Anthropic's SDKs read it (platform.claude.com/docs/en/api/models-list).
#pragma once

#include "api/openai/models.h"

namespace spillway::api::anthropic {

// {"data":[…],"has_more":false,…}; `created` is the same for all: seconds since 1970.
std::string render_models(const std::vector<openai::ModelEntry>& models, long long created);
std::string render_model(const openai::ModelEntry& model, long long created);

}  // namespace spillway::api::anthropic
