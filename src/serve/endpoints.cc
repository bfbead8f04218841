#include "serve/endpoints.h"

#include <algorithm>
#include <ctime>

#include "admit/api_key.h"
#include "api/anthropic/models.h"
#include "api/error.h"
#include "api/ollama/listing.h"
#include "api/openai/models.h"
#include "attempt/exchange.h"
#include "base/json_text.h"

namespace spillway::serve {

namespace {

constexpr std::string_view kModels = "/v1/models";
constexpr std::string_view kModelPrefix = "/v1/models/";
constexpr std::string_view kShow = "/api/show";

// What only tells, and takes no body.
bool is_told(std::string_view path) {
  return path == kModels || path.starts_with(kModelPrefix) || path == "/api/tags" || path == "/api/ps" ||
         path == "/api/version" || path == "/";
}

bool is_read(const http::Request& request) {
  return request.method == http::Method::kGet || request.method == http::Method::kHead;
}

// Percent-encoded bytes decoded (RFC 3986, 2.1); what is not a valid triplet stays as it is.
std::string percent_decoded(std::string_view text) {
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && digit(text[i + 1]) >= 0 && digit(text[i + 2]) >= 0) {
      out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// In whose shape a client of that path expects its errors.
Dialect dialect_of(std::string_view path) {
  if (path.starts_with("/v1/messages")) return Dialect::kAnthropic;
  return path.starts_with("/api/") ? Dialect::kOllama : Dialect::kOpenAi;
}

bool can_serve(const route::Route& route) {
  for (const route::Target& target : route.targets) {
    // One of several Models is loaded when it is asked for.
    if (target.backend->ready() || target.backend->settings().takes_turns()) return true;
  }
  return false;
}

// "64 KiB", or bytes where it is not a whole number of them.
std::string size_text(std::uint64_t bytes) {
  if (bytes >= 1u << 20 && bytes % (1u << 20) == 0) return std::to_string(bytes >> 20) + " MiB";
  if (bytes >= 1u << 10 && bytes % (1u << 10) == 0) return std::to_string(bytes >> 10) + " KiB";
  return std::to_string(bytes) + " bytes";
}

// Spillway's code for a refusal that concerns the message, not what it asks for.
std::string_view code_of(int status) {
  switch (status) {
    case 413: return "body_too_large";
    case 503: return "queue_full";
    default: return "invalid_request";
  }
}

// The page's browser lets it see the answer (Fetch, 3.2.3), and the fields that tell what became of the request.
void allow_page(http::ResponseWriter& response, std::string_view origin) {
  response.add_header("Access-Control-Allow-Origin", origin);
  response.add_header("Access-Control-Expose-Headers",
                      "x-request-id, x-spillway-backend, x-spillway-attempts, x-spillway-cache, "
                      "x-spillway-upstream-request-id, retry-after");
  response.add_header("Vary", "Origin");
}

// What the browser asks before it sends more than a plain form could (Fetch, 3.2.2).
void answer_preflight(http::ResponseWriter& response, const http::Request& request) {
  response.add_header("Access-Control-Allow-Methods", "GET, HEAD, POST, OPTIONS");
  response.add_header("Access-Control-Max-Age", "600");
  if (const std::string_view fields = request.headers.get("access-control-request-headers"); !fields.empty())
    response.add_header("Access-Control-Allow-Headers", fields);
  if (request.headers.get("access-control-request-private-network") == "true")
    response.add_header("Access-Control-Allow-Private-Network", "true");
}

}  // namespace

// In the order in which they protect: whoever may not ask learns nothing of what is here.
std::optional<http::EarlyAnswer> Endpoints::on_head(http::ResponseWriter& response, const http::Request& head) {
  if (const auto refusal = current_.origins->check(head.headers))
    return early(dialect_of(head.path), refusal->status, refusal->code, refusal->message);
  if (const std::string_view origin = head.headers.get("origin"); !origin.empty()) {
    allow_page(response, origin);
    if (head.method == http::Method::kOptions && head.headers.has("access-control-request-method")) {
      answer_preflight(response, head);
      return http::EarlyAnswer{204, {}, {}};
    }
  }
  const std::string_view path = head.path;
  const api::EndpointRow* const endpoint = api::find_endpoint(path);
  std::string_view allowed;
  if (path == "/healthz" || path == "/readyz" || is_told(path)) {
    if (!is_read(head)) allowed = "GET, HEAD";
  } else if (endpoint != nullptr || path == kShow) {
    if (head.method != http::Method::kPost) allowed = "POST";
  } else {
    return early(
        dialect_of(path), 404, "not_found",
        "there is no " + std::string(path.substr(0, 200)) + " here; docs/dialects.md lists what this gateway serves");
  }
  if (head.method == http::Method::kOptions) {
    response.add_header("Allow",
                        std::string(endpoint != nullptr || path == kShow ? "POST" : "GET, HEAD") + ", OPTIONS");
    return http::EarlyAnswer{204, {}, {}};
  }
  if (!allowed.empty()) {
    response.add_header("Allow", allowed);
    return early(dialect_of(path), 405, "method_not_allowed",
                 std::string(path.substr(0, 200)) + " allows only " + std::string(allowed));
  }
  if (path == "/healthz" || path == "/readyz" || path == "/") return std::nullopt;
  if (const auto refusal = admit::check_api_key(current_.config->server, head.headers))
    return early(dialect_of(head.path), refusal->status, refusal->code, refusal->message);
  const std::string_view coding = head.headers.get("content-encoding");
  if (endpoint != nullptr && !coding.empty() && !equals_ignore_case(coding, "identity")) {
    response.add_header("Accept-Encoding", "identity");
    return early(dialect_of(path), 415, "invalid_request",
                 "the body is encoded as " + std::string(coding.substr(0, 60)) +
                     ", which this gateway does not decode; send it as it is, without Content-Encoding");
  }
  return std::nullopt;
}

Task<> Endpoints::handle(http::ServerConnection& connection, const http::Request& request) {
  if (const api::EndpointRow* const endpoint = api::find_endpoint(request.path)) {
    attempt::Exchange exchange(context_, current_.table, current_.config, connection, request,
                               api::format_of(endpoint->endpoint),
                               [this] { return attempt::Exchange::Generation{current_.table, current_.config}; });
    co_await exchange.run();
  } else if (request.path == "/healthz") {
    co_await connection.response().send(200, "application/json", R"({"status":"ok"})");
  } else if (request.path == "/readyz") {
    co_await readiness(connection);
  } else if (request.path == "/") {
    // Ollama's clients ask so whether a server is there.
    co_await connection.response().send(200, "text/plain", "Spillway is running");
  } else if (request.path.starts_with("/api/")) {
    co_await ollama_listing(connection, request);
  } else {
    co_await models(connection, request);
  }
}

Task<> Endpoints::ollama_listing(http::ServerConnection& connection, const http::Request& request) {
  namespace ollama = api::ollama;
  const std::shared_ptr<const route::RouteTable> table = current_.table;
  static const long long started = std::time(nullptr);
  std::vector<ollama::Listed> listed;
  for (route::RouteTable::Model& model : table->models()) {
    ollama::Listed one{std::move(model.name), std::move(model.backend), false, 0};
    bool running = true;
    for (const config::Backend& backend : current_.config->backends) {
      if (backend.name != one.backend) continue;
      one.local = backend.is_local();
      one.context = one.local ? backend.context : 0;
      running = one.local;
    }
    if (request.path != "/api/ps" || running) listed.push_back(std::move(one));
  }
  std::string body;
  if (request.path == "/api/version") {
    body = ollama::render_version();
  } else if (request.path == kShow) {
    const std::string wanted = ollama::shown_model(request.body);
    const auto found = std::ranges::find(listed, wanted, &ollama::Listed::name);
    if (found == listed.end()) {
      const http::EarlyAnswer missing = early(Dialect::kOllama, wanted.empty() ? 400 : 404, "model_not_found",
                                              wanted.empty() ? "name a model" : "model '" + wanted + "' not found");
      co_await connection.response().send(missing.status, missing.content_type, missing.body);
      co_return;
    }
    body = ollama::render_details(*found, started);
  } else {
    body = ollama::render_list(listed, started, request.path == "/api/ps");
  }
  co_await connection.response().send(200, "application/json", body);
}

Task<> Endpoints::models(http::ServerConnection& connection, const http::Request& request) {
  const std::shared_ptr<const route::RouteTable> table = current_.table;
  // OpenAI's field is when a model was made, which nobody knows of an alias: the time of the start.
  static const long long started = std::time(nullptr);
  std::vector<api::openai::ModelEntry> entries;
  for (route::RouteTable::Model& model : table->models())
    entries.push_back({std::move(model.name), std::move(model.backend)});
  const bool anthropic = request.headers.has("anthropic-version");
  if (request.path == kModels) {
    const std::string body =
        anthropic ? api::anthropic::render_models(entries, started) : api::openai::render_models(entries, started);
    co_await connection.response().send(200, "application/json", body);
    co_return;
  }
  const std::string wanted = percent_decoded(request.path.substr(kModelPrefix.size()));
  for (const api::openai::ModelEntry& entry : entries) {
    if (entry.id != wanted) continue;
    const std::string body =
        anthropic ? api::anthropic::render_model(entry, started) : api::openai::render_model(entry, started);
    co_await connection.response().send(200, "application/json", body);
    co_return;
  }
  const http::EarlyAnswer missing = early(anthropic ? Dialect::kAnthropic : Dialect::kOpenAi, 404, "model_not_found",
                                          "there is no model \"" + wanted + "\"; GET /v1/models lists those that are");
  co_await connection.response().send(missing.status, missing.content_type, missing.body);
}

Task<> Endpoints::readiness(http::ServerConnection& connection) {
  const std::shared_ptr<const route::RouteTable> table = current_.table;
  std::string waiting;
  for (const route::Route& route : table->routes()) {
    if (can_serve(route)) continue;
    if (!waiting.empty()) waiting += ",";
    json::append_string(waiting, route.settings.model);
  }
  if (waiting.empty()) {
    co_await connection.response().send(200, "application/json", R"({"status":"ready"})");
    co_return;
  }
  connection.response().add_header("Retry-After", "1");
  const std::string body = R"({"status":"waiting","routes":[)" + waiting + "]}";
  co_await connection.response().send(503, "application/json", body);
}

http::EarlyAnswer Endpoints::early(Dialect dialect, int status, std::string_view code, std::string message) {
  context_.metrics.refused_requests.add();
  return {status, "application/json", api::render_error(dialect, {status, code, std::move(message)})};
}

std::string Endpoints::render_failure(int status, std::string_view what) {
  context_.metrics.refused_requests.add();
  std::string message(what);
  const config::Limits& limits = current_.config->limits;
  if (status == 413) message += ", which is " + size_text(limits.max_body) + "; send less";
  if (status == 431) message += " (" + size_text(limits.max_header) + " and 128 fields)";
  return api::render_error(Dialect::kOpenAi, {status, code_of(status), std::move(message)});
}

}  // namespace spillway::serve
