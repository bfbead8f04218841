#include "admin/admin_handler.h"

#include "api/error.h"

namespace spillway::admin {

Task<> AdminHandler::handle(http::ServerConnection& connection, const http::Request& request) {
  http::ResponseWriter& response = connection.response();
  if (const auto refusal = sources_.origins()->check(request.headers)) {
    const std::string body = api::render_error(Dialect::kOpenAi, *refusal);
    co_await response.send(refusal->status, "application/json", body);
    co_return;
  }
  const bool known =
      request.path == "/metrics" || request.path == "/admin/v1/health" || request.path == "/admin/v1/status";
  if (!known) {
    co_await response.send(
        404, "application/json",
        render_failure(404, "there is no such page; see /metrics, /admin/v1/health, /admin/v1/status"));
    co_return;
  }
  if (request.method != http::Method::kGet && request.method != http::Method::kHead) {
    response.add_header("Allow", "GET, HEAD");
    co_await response.send(405, "application/json", render_failure(405, "only GET is known here"));
    co_return;
  }
  response.add_header("Cache-Control", "no-store");
  if (request.path == "/metrics") {
    const std::string body = sources_.metrics();
    co_await response.send(200, "text/plain; version=0.0.4; charset=utf-8", body);
    co_return;
  }
  const Status status = sources_.status();
  const std::string body = request.path == "/admin/v1/health" ? health_json(status) : to_json(status);
  co_await response.send(200, "application/json", body);
}

std::string AdminHandler::render_failure(int status, std::string_view what) {
  return api::render_error(Dialect::kOpenAi,
                           {status, status == 404 ? "not_found" : "invalid_request", std::string(what)});
}

}  // namespace spillway::admin
