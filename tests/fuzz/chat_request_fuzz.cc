// What is accepted is JSON for another parser too, with the same fields, and stays so when its model is replaced.
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>

#include "api/chat_request.h"
#include "api/continuation.h"
#include "base/byte_buffer.h"
#include "pieces.h"

namespace {

using nlohmann::json;
using spillway::fuzz::require;
using namespace spillway::api;

// With exactly the readable bytes behind it that are promised.
struct Padded {
  explicit Padded(std::string_view text)
      : bytes(std::make_unique<char[]>(text.size() + spillway::ByteBuffer::kPadding)), size(text.size()) {
    if (size > 0) std::memcpy(bytes.get(), text.data(), size);
    std::memset(bytes.get() + size, '}', spillway::ByteBuffer::kPadding);
  }
  [[nodiscard]] std::string_view view() const { return {bytes.get(), size}; }
  std::unique_ptr<char[]> bytes;
  std::size_t size;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const Padded body(spillway::fuzz::view(data, size));
  const auto decoded = decode_chat_request(body.view());
  // nlohmann-json refuses numbers that no double holds, which the grammar allows.
  const json other = json::parse(body.view(), nullptr, /*allow_exceptions=*/false);
  if (const auto* error = std::get_if<spillway::api::ApiError>(&decoded)) {
    require(error->status == 400 && !error->message.empty());
    return 0;
  }
  const auto& request = std::get<ChatRequest>(decoded);
  if (other.is_discarded()) {
    const std::string_view text = body.view();
    require(text.find_first_of("eE") != std::string_view::npos || text.size() > 300);
    return 0;
  }
  require(other.is_object() && other["model"] == request.model && other["messages"].is_array());
  if (other.contains("stream") && other["stream"].is_boolean()) require(other["stream"] == request.stream);
  const auto edited = [&body](std::vector<Edit> edits) {
    std::string out;
    for (const std::string_view piece : splice(body.view(), edits)) out += piece;
    return out;
  };
  const Padded spliced(edited({{request.model_begin, request.model_end, "\"another \\u00e9\""}}));
  const auto again = decode_chat_request(spliced.view());
  require(std::holds_alternative<ChatRequest>(again));
  require(std::get<ChatRequest>(again).model == "another \u00e9");
  require(std::get<ChatRequest>(again).stream == request.stream);
  json wanted = other;
  wanted["model"] = "another \u00e9";
  require(json::parse(spliced.view()) == wanted);
  // To continue an answer one message is added, and nothing else but flags and the limit of tokens changes.
  const json continued =
      json::parse(edited(continuation_edits(request, {ResumeForm::kContinueFinalMessage, "so \"far\"", 3})));
  json messages = other["messages"];
  messages.push_back({{"role", "assistant"}, {"content", "so \"far\""}});
  require(continued["messages"] == messages && continued["model"] == request.model);
  require(continued["continue_final_message"] == true);
  return 0;
}
