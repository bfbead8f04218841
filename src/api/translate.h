// A request from one Format into another.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "api/format.h"

namespace spillway::api {

struct Translation {
  std::string body;  // with ByteBuffer::kPadding bytes behind it
  std::size_t size = 0;
  ChatRequest request;               // what decode() notes of it
  std::vector<std::string> dropped;  // names of what the client sent, and what is left out

  [[nodiscard]] std::string_view text() const { return std::string_view(body).substr(0, size); }
};

// `body`, which `from` found good and noted in `request`, for a Backend that is asked in `to`. An ApiError with status
// 400 where it cannot be carried. `body` needs ByteBuffer::kPadding readable bytes behind it.
std::variant<Translation, ApiError> translate(const Format& from, std::string_view body, const ChatRequest& request,
                                              const Format& to, const Recipient& recipient);

}  // namespace spillway::api
