#include "api/ollama/line_assembler.h"

#include <nlohmann/json.hpp>

namespace spillway::api::ollama {

namespace {

using Json = nlohmann::ordered_json;

// Members of `from` laid over `into`; texts that come in pieces are joined.
void merge(Json& into, const Json& from) {
  for (const auto& [name, value] : from.items()) {
    const bool in_pieces = name == "content" || name == "thinking" || name == "response";
    if (value.is_object() && into.contains(name) && into[name].is_object()) {
      merge(into[name], value);
    } else if (in_pieces && value.is_string() && into.contains(name) && into[name].is_string()) {
      into[name].get_ref<std::string&>() += value.get_ref<const std::string&>();
    } else if ((name == "tool_calls" || name == "logprobs") && value.is_array() && into.contains(name)) {
      for (const Json& one : value) into[name].push_back(one);
    } else {
      into[name] = value;
    }
  }
}

}  // namespace

struct LineAssembler::State {
  Json answer = Json::object();
};

LineAssembler::LineAssembler() : state_(std::make_unique<State>()) {}
LineAssembler::~LineAssembler() = default;

void LineAssembler::feed(std::string_view events) {
  while (!events.empty()) {
    const std::size_t end = std::min(events.find('\n'), events.size());
    const Json line = Json::parse(events.substr(0, end), nullptr, /*allow_exceptions=*/false);
    if (line.is_object()) merge(state_->answer, line);
    events.remove_prefix(std::min(end + 1, events.size()));
  }
}

std::string LineAssembler::answer() const {
  return state_->answer.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spillway::api::ollama
