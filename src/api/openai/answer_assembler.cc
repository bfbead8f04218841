#include "api/openai/answer_assembler.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "api/event_text.h"

namespace spillway::api::openai {

namespace {

using Json = nlohmann::ordered_json;

bool stays(std::string_view key) {
  constexpr std::array<std::string_view, 5> kNames{"id", "type", "role", "name", "format"};
  return std::ranges::find(kNames, key) != kNames.end();
}

void merge(Json& into, const Json& from, std::string_view key);

// Into the element of the same index; without one, a call is told by its id, and what has none goes on with the last.
void merge_element(Json& list, const Json& element) {
  if (!element.is_object()) return list.push_back(element);
  const auto same = [&](const char* member) {
    return std::ranges::find_if(
        list, [&](const Json& one) { return one.is_object() && one.value(member, Json()) == element[member]; });
  };
  auto found = list.end();
  if (element.contains("index")) {
    found = same("index");
  } else if (element.contains("id")) {
    found = same("id");
  } else if (element.contains("function") && !list.empty()) {
    found = std::prev(list.end());
  }
  if (found == list.end()) return list.push_back(element);
  merge(*found, element, "");
}

void merge(Json& into, const Json& from, std::string_view key) {
  if (from.is_null() && !into.is_null()) return;
  if (from.is_object() && into.is_object()) {
    for (const auto& [name, value] : from.items()) {
      if (into.contains(name)) {
        merge(into[name], value, name);
      } else {
        into[name] = value;
      }
    }
  } else if (from.is_array() && into.is_array()) {
    for (const Json& element : from) merge_element(into, element);
  } else if (from.is_string() && into.is_string() && !stays(key)) {
    into.get_ref<std::string&>() += from.get_ref<const std::string&>();
  } else if (!(into.is_string() && stays(key) && !into.get_ref<const std::string&>().empty())) {
    into = from;
  }
}

}  // namespace

struct AnswerAssembler::State {
  Json whole = Json::object();
  std::vector<Json> choices;

  Json& choice(std::int64_t index) {
    for (Json& one : choices) {
      if (one["index"] == index) return one;
    }
    choices.push_back({{"index", index}, {"message", {{"role", "assistant"}, {"content", nullptr}}}});
    return choices.back();
  }

  void add_choice(const Json& part) {
    Json& into =
        choice(part.contains("index") && part["index"].is_number_integer() ? part["index"].get<std::int64_t>() : 0);
    for (const auto& [name, value] : part.items()) {
      if (name == "index") continue;
      if (name == "delta") {
        if (value.is_object()) merge(into["message"], value, name);
      } else if (name == "finish_reason") {
        if (value.is_string() && !value.get_ref<const std::string&>().empty() && value != "null") into[name] = value;
      } else if (into.contains(name)) {
        merge(into[name], value, name);
      } else {
        into[name] = value;
      }
    }
  }

  void add(const Json& chunk) {
    for (const auto& [name, value] : chunk.items()) {
      if (name == "choices") {
        if (!value.is_array()) continue;
        for (const Json& part : value) {
          if (part.is_object()) add_choice(part);
        }
      } else if (name == "object") {
        whole[name] = "chat.completion";
      } else if (!whole.contains(name) || (!value.is_null() && name != "id" && name != "model" && name != "created")) {
        whole[name] = value;
      }
    }
  }
};

AnswerAssembler::AnswerAssembler() : state_(std::make_unique<State>()) {}
AnswerAssembler::~AnswerAssembler() = default;

void AnswerAssembler::feed(std::string_view events) {
  for_each_data(events, [&](const std::string& data) {
    const Json chunk = Json::parse(data, nullptr, /*allow_exceptions=*/false);
    if (chunk.is_object()) state_->add(chunk);
  });
}

std::string AnswerAssembler::answer() const {
  Json out = Json::object();
  out["id"] = state_->whole.value("id", Json(""));
  out["object"] = "chat.completion";
  out.update(state_->whole);
  std::vector<Json> choices = state_->choices;
  std::ranges::sort(choices, {}, [](const Json& one) { return one["index"].get<std::int64_t>(); });
  for (Json& choice : choices) {
    if (!choice["message"].contains("tool_calls")) continue;
    for (Json& call : choice["message"]["tool_calls"]) {
      if (call.is_object()) call.erase("index");
    }
  }
  out["choices"] = choices;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spillway::api::openai
