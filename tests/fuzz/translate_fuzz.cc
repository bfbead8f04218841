// A request that one Dialect accepts is refused by another with a 400, or becomes a body that it accepts.
#include <nlohmann/json.hpp>

#include "api/translate.h"
#include "base/byte_buffer.h"
#include "pieces.h"

using spillway::fuzz::require;
using namespace spillway::api;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string padded(spillway::fuzz::view(data, size));
  padded.append(spillway::ByteBuffer::kPadding, '"');
  const std::string_view body = std::string_view(padded).substr(0, size);
  for (const EndpointRow& row : endpoints()) {
    const Format& from = format_of(row.endpoint);
    auto decoded = from.decode(body);
    if (const auto* error = std::get_if<ApiError>(&decoded)) {
      require(error->status == 400 && !error->message.empty());
      continue;
    }
    const ChatRequest request = std::get<ChatRequest>(std::move(decoded));
    for (const spillway::Dialect dialect :
         {spillway::Dialect::kOpenAi, spillway::Dialect::kAnthropic, spillway::Dialect::kOllama}) {
      const auto endpoint = endpoint_at(dialect, row.endpoint);
      if (!endpoint || *endpoint == row.endpoint) continue;
      const auto made = translate(from, body, request, format_of(*endpoint), Recipient{});
      if (const auto* error = std::get_if<ApiError>(&made)) {
        require(error->status == 400 && !error->message.empty());
        continue;
      }
      const auto& translation = std::get<Translation>(made);
      require(nlohmann::json::accept(translation.text()));
      require(translation.request.model == request.model);
      require(translation.request.stream == request.stream);
    }
  }
  return 0;
}
