#include "api/anthropic/models.h"

#include "base/json_text.h"
#include "base/text.h"

namespace spillway::api::anthropic {

std::string render_model(const openai::ModelEntry& model, long long created) {
  std::string out = R"({"type":"model","id":)";
  json::append_string(out, model.id);
  out += ",\"display_name\":";
  json::append_string(out, model.id);
  return out + R"(,"created_at":")" + rfc3339(created) + "\"}";
}

std::string render_models(const std::vector<openai::ModelEntry>& models, long long created) {
  std::string out = R"({"data":[)";
  for (std::size_t i = 0; i < models.size(); ++i) {
    if (i > 0) out += ",";
    out += anthropic::render_model(models[i], created);
  }
  out += R"(],"has_more":false,"first_id":)";
  const auto id = [&](const openai::ModelEntry* model) {
    if (model == nullptr) {
      out += "null";
    } else {
      json::append_string(out, model->id);
    }
  };
  id(models.empty() ? nullptr : &models.front());
  out += ",\"last_id\":";
  id(models.empty() ? nullptr : &models.back());
  return out + "}";
}

}  // namespace spillway::api::anthropic
