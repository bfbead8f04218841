// Which web pages may ask, and under which names.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/error.h"
#include "config/config.h"
#include "http/message.h"

namespace spillway::admit {

// A page of any site can send requests to this machine from its visitor's browser: with the operator's keys behind
// them. The browser tells the page's Origin (RFC 6454), which is judged here. And a page can have its own name lead
// to 127.0.0.1 (DNS rebinding): so a listener on loopback answers to this machine's names only. Immutable.
class OriginRules {
 public:
  // `cors_origins` and `hosts` as in [server].
  OriginRules(const config::Address& listen, std::vector<std::string> cors_origins, std::vector<std::string> hosts);

  // 403 `foreign_origin`, or nothing: the request may go on. No Origin is fine: it is no page that asks.
  [[nodiscard]] std::optional<api::ApiError> check(const http::Headers& headers) const;

 private:
  [[nodiscard]] bool may_be_asked_as(std::string_view host) const;
  [[nodiscard]] bool may_ask(std::string_view origin) const;

  bool on_loopback_;
  std::vector<std::string> cors_origins_;
  std::vector<std::string> hosts_;
};

}  // namespace spillway::admit
