// A client's request in the words of each Backend that is asked.
#pragma once

#include <list>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "api/translate.h"
#include "route/route_table.h"

namespace spillway::attempt {

// A body as it goes to a Backend, but for its model and what continuing an answer changes.
struct RequestBody {
  const api::Format* format = nullptr;
  std::string_view text;
  const api::ChatRequest* request = nullptr;          // what is noted of `text`
  const std::vector<std::string>* dropped = nullptr;  // null: it is the client's own
  const api::ApiError* refusal = nullptr;             // it cannot be carried there; all else is null
};

// For one Exchange. What is made lives as long as this.
class RequestBodies {
 public:
  // `body` needs ByteBuffer::kPadding readable bytes behind it; all outlive this.
  RequestBodies(const api::Format& format, std::string_view body, const api::ChatRequest& request)
      : format_(format), body_(body), request_(request) {}

  RequestBody for_target(const route::Target& target);
  // What was left out for that Backend.
  [[nodiscard]] std::span<const std::string> dropped_at(const backend::Backend& backend) const;

 private:
  struct Made {
    const route::Target* target;
    const api::Format* format;
    std::variant<api::Translation, api::ApiError> translation;
  };
  static RequestBody view(const Made& made);

  const api::Format& format_;
  std::string_view body_;
  const api::ChatRequest& request_;
  std::list<Made> made_;
};

}  // namespace spillway::attempt
