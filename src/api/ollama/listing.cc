#include "api/ollama/listing.h"

#include "api/conversation.h"
#include "api/json_reading.h"
#include "base/text.h"
#include "base/version.h"

namespace spillway::api::ollama {

namespace {

// What is known of it, which is little for a model that somebody else runs.
void append_facts(std::string& out, const Listed& model) {
  append_raw(out, "details",
             R"({"parent_model":"","format":")" + std::string(model.local ? "gguf" : "") +
                 R"(","family":"","families":[],"parameter_size":"","quantization_level":""})");
  append_text(out, "backend", escaped(model.backend));
}

}  // namespace

std::string render_list(const std::vector<Listed>& models, std::int64_t moment, bool running) {
  std::string out = R"({"models":[)";
  for (const Listed& model : models) {
    out += out.back() == '[' ? "{" : ",{";
    append_text(out, "name", escaped(model.name));
    append_text(out, "model", escaped(model.name));
    append_raw(out, "size", "0");
    append_text(out, "digest", "");
    append_text(out, running ? "expires_at" : "modified_at", rfc3339(moment));
    if (running) append_raw(out, "size_vram", "0");
    if (running && model.context > 0) append_raw(out, "context_length", std::to_string(model.context));
    append_facts(out, model);
    out += "}";
  }
  return out + "]}";
}

std::string render_details(const Listed& model, std::int64_t moment) {
  std::string out = R"({"modelfile":"","parameters":"","template":"","license":"")";
  append_text(out, "modified_at", rfc3339(moment));
  append_raw(out, "capabilities", R"(["completion","tools"])");
  std::string info = R"({"general.architecture":"spillway")";
  if (model.context > 0) append_raw(info, "spillway.context_length", std::to_string(model.context));
  append_raw(out, "model_info", info + "}");
  append_facts(out, model);
  return out + "}";
}

std::string render_version() {
  return R"({"version":")" + std::string(kSpokenVersion) + R"(","spillway":")" + std::string(version()) + "\"}";
}

std::string shown_model(std::string_view body) {
  JsonTree tree;
  if (!tree.parse(without_white_space_behind(body))) return {};
  const JsonTree::Value root = tree.root();
  return root["model"] ? root["model"].text() : root["name"].text();
}

}  // namespace spillway::api::ollama
