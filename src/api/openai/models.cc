#include "api/openai/models.h"

#include "base/json_text.h"

namespace spillway::api::openai {

std::string render_model(const ModelEntry& model, long long created) {
  std::string out = "{\"id\":";
  json::append_string(out, model.id);
  out += ",\"object\":\"model\",\"created\":" + std::to_string(created) + ",\"owned_by\":";
  json::append_string(out, model.owned_by);
  out += "}";
  return out;
}

std::string render_models(const std::vector<ModelEntry>& models, long long created) {
  std::string out = R"({"object":"list","data":[)";
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ",";
    out += render_model(models[i], created);
  }
  out += "]}";
  return out;
}

}  // namespace spillway::api::openai
