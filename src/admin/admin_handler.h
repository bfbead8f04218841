// The admin plane: /metrics and /admin/v1 on `server.admin_listen`, read-only.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "admin/status.h"
#include "admit/origin.h"
#include "http/server.h"

namespace spillway::admin {

class AdminHandler : public http::Handler {
 public:
  struct Sources {
    std::function<std::string()> metrics;  // Prometheus text
    std::function<Status()> status;
    // Of the Config that holds now; no page but this machine's own may ask.
    std::function<std::shared_ptr<const admit::OriginRules>()> origins;
  };
  explicit AdminHandler(Sources sources) : sources_(std::move(sources)) {}

  Task<> handle(http::ServerConnection& connection, const http::Request& request) override;
  std::string render_failure(int status, std::string_view what) override;

 private:
  Sources sources_;
};

}  // namespace spillway::admin
