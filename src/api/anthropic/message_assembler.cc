#include "api/anthropic/message_assembler.h"

#include <nlohmann/json.hpp>

#include "api/event_text.h"

namespace spillway::api::anthropic {

namespace {

using Json = nlohmann::ordered_json;

void append_text(Json& block, const char* member, const Json& delta) {
  if (!delta.contains(member) || !delta[member].is_string()) return;
  if (!block.contains(member) || !block[member].is_string()) block[member] = "";
  block[member].get_ref<std::string&>() += delta[member].get_ref<const std::string&>();
}

}  // namespace

struct MessageAssembler::State {
  Json message = Json::object();
  Json content = Json::array();
  std::string input;  // of the tool call that is open, as JSON text

  void add(const Json& event) {
    const std::string type = event.value("type", "");
    if (type == "message_start" && event.contains("message")) {
      message = event["message"];
    } else if (type == "content_block_start" && event.contains("content_block")) {
      content.push_back(event["content_block"]);
      input.clear();
    } else if (type == "content_block_delta" && event.contains("delta") && !content.empty()) {
      add_delta(content.back(), event["delta"]);
    } else if (type == "content_block_stop" && !input.empty()) {
      Json value = Json::parse(input, nullptr, /*allow_exceptions=*/false);
      if (!value.is_discarded()) content.back()["input"] = std::move(value);
      input.clear();
    } else if (type == "message_delta") {
      if (event.contains("delta")) message.update(event["delta"]);
      if (event.contains("usage") && event["usage"].is_object()) {
        for (const auto& [name, value] : event["usage"].items()) {
          if (!value.is_null()) message["usage"][name] = value;
        }
      }
    }
  }

  void add_delta(Json& block, const Json& delta) {
    const std::string type = delta.value("type", "");
    if (type == "text_delta") {
      append_text(block, "text", delta);
    } else if (type == "thinking_delta") {
      append_text(block, "thinking", delta);
    } else if (type == "signature_delta") {
      block["signature"] = delta.value("signature", "");
    } else if (type == "input_json_delta") {
      input += delta.value("partial_json", "");
    } else if (type == "citations_delta" && delta.contains("citation")) {
      if (!block.contains("citations") || !block["citations"].is_array()) block["citations"] = Json::array();
      block["citations"].push_back(delta["citation"]);
    }
  }
};

MessageAssembler::MessageAssembler() : state_(std::make_unique<State>()) {}
MessageAssembler::~MessageAssembler() = default;

void MessageAssembler::feed(std::string_view events) {
  for_each_data(events, [&](const std::string& data) {
    const Json event = Json::parse(data, nullptr, /*allow_exceptions=*/false);
    if (event.is_object()) state_->add(event);
  });
}

std::string MessageAssembler::answer() const {
  Json out = state_->message;
  out["content"] = state_->content;
  return out.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace spillway::api::anthropic
