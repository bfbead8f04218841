// The data plane's endpoints: which path means what.
#pragma once

#include <memory>
#include <string>

#include "admit/origin.h"
#include "attempt/context.h"
#include "config/config.h"
#include "http/server.h"
#include "route/route_table.h"

namespace spillway::serve {

// What a request is answered by; replaced as a whole on a reload. An Exchange keeps what it began with.
struct Generation {
  std::shared_ptr<const config::Config> config;
  std::shared_ptr<const route::RouteTable> table;
  std::shared_ptr<const admit::OriginRules> origins;
};

// One for each worker thread.
class Endpoints : public http::Handler {
 public:
  Endpoints(attempt::Context context, const Generation& current) : context_(context), current_(current) {}

  std::optional<http::EarlyAnswer> on_head(http::ResponseWriter& response, const http::Request& head) override;
  Task<> handle(http::ServerConnection& connection, const http::Request& request) override;
  std::string render_failure(int status, std::string_view what) override;

 private:
  http::EarlyAnswer early(Dialect dialect, int status, std::string_view code, std::string message);
  Task<> models(http::ServerConnection& connection, const http::Request& request);
  Task<> ollama_listing(http::ServerConnection& connection, const http::Request& request);
  Task<> readiness(http::ServerConnection& connection);

  attempt::Context context_;
  const Generation& current_;
};

}  // namespace spillway::serve
