#include "fleet/launcher/docker/api.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/foreign_json.h"

namespace spillway::fleet::docker {

using Json = nlohmann::json;

namespace {

struct Version {
  int major = 0;
  int minor = 0;
  auto operator<=>(const Version&) const = default;
};
constexpr Version kOldest{1, 40};
constexpr Version kNewest{1, 52};  // what this was read against

std::optional<Version> parse_version(const Json& answer, const char* key) {
  const std::string text = json::text_at(answer, {key});
  Version out;
  const char* const end = text.data() + text.size();
  const auto major = std::from_chars(text.data(), end, out.major);
  if (major.ec != std::errc() || major.ptr == end || *major.ptr != '.') return std::nullopt;
  if (std::from_chars(major.ptr + 1, end, out.minor).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace

Result<std::string> socket_of(const config::Environment& environment) {
  constexpr std::string_view kScheme = "unix://";
  const std::string host = environment("DOCKER_HOST").value_or("");
  if (host.empty()) return std::string("/var/run/docker.sock");
  if (!host.starts_with(kScheme) || host.size() == kScheme.size()) {
    return Error{ErrorCode::kInvalidArgument, "DOCKER_HOST is no Unix-domain socket: " + host,
                 "engines run on this machine: unix:///var/run/docker.sock"};
  }
  return host.substr(kScheme.size());
}

void Call::abort() {
  aborted_ = true;
  if (const auto connection = connection_) connection->abort();
}

Task<Result<std::shared_ptr<http::ClientConnection>>> Api::send(std::string method, std::string path, std::string body,
                                                                TimePoint until, std::shared_ptr<Call> call) {
  const std::shared_ptr<Api> self = shared_from_this();
  auto connection = std::make_shared<http::ClientConnection>(loop_, timers_, http::ParserLimits{});
  if (call && call->aborted_) co_return Error{ErrorCode::kUnavailable, "it was broken off", {}};
  if (call) call->connection_ = connection;
  http::Origin origin;
  origin.local = socket_;
  if (co_await connection->open(origin, resolver_, until) != http::ClientStatus::kOk) {
    co_return Error{ErrorCode::kUnavailable, "Docker cannot be reached: " + connection->failure(),
                    "does dockerd run, and may this user open its socket? DOCKER_HOST names another"};
  }
  std::string request = method + " " + path + " HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n";
  if (!body.empty()) request += "Content-Type: application/json\r\n";
  if (!body.empty() || method == "POST") request += fmt::format("Content-Length: {}\r\n", body.size());
  request += "\r\n" + body;
  std::array<asio::const_buffer, 1> buffers{asio::buffer(request)};
  const http::ClientStatus sent = co_await connection->send(buffers, until);
  if (sent != http::ClientStatus::kOk)
    co_return Error{ErrorCode::kUnavailable, "Docker does not answer: " + connection->failure(), {}};
  co_return connection;
}

Task<Status> Api::negotiate() {
  if (!version_.empty()) co_return Status();
  const TimePoint until = now() + kWithin;
  auto sent = co_await send("GET", "/version", "", until, nullptr);
  if (!sent) co_return sent.error();
  http::ClientStatus status = http::ClientStatus::kOk;
  while (status == http::ClientStatus::kOk) status = co_await (*sent)->receive(until);
  const Json json = Json::parse((*sent)->body(), nullptr, false);
  const auto newest = json.is_object() ? parse_version(json, "ApiVersion") : std::nullopt;
  if (status != http::ClientStatus::kComplete || !newest)
    co_return Error{ErrorCode::kUnavailable, "what answers at " + socket_ + " is no Docker engine", {}};
  const Version oldest = parse_version(json, "MinAPIVersion").value_or(Version{});
  if (*newest < kOldest || oldest > kNewest) {
    co_return Error{
        ErrorCode::kUnavailable,
        fmt::format("Docker speaks API {}.{} to {}.{}, Spillway {}.{} to {}.{}", oldest.major, oldest.minor,
                    newest->major, newest->minor, kOldest.major, kOldest.minor, kNewest.major, kNewest.minor),
        "install another version of Docker"};
  }
  const Version chosen = std::min(*newest, kNewest);
  version_ = fmt::format("/v{}.{}", chosen.major, chosen.minor);
  co_return Status();
}

Task<Result<Answer>> Api::ask(std::string method, std::string path, std::string body, Duration within,
                              std::shared_ptr<Call> call) {
  const std::shared_ptr<Api> self = shared_from_this();
  if (Status known = co_await negotiate(); !known) co_return known.error();
  const TimePoint until = now() + within;
  auto sent = co_await send(std::move(method), version_ + path, std::move(body), until, call);
  if (!sent) co_return sent.error();
  http::ClientStatus status = http::ClientStatus::kOk;
  while (status == http::ClientStatus::kOk) status = co_await (*sent)->receive(until);
  if (status != http::ClientStatus::kComplete)
    co_return Error{ErrorCode::kUnavailable, "Docker does not answer: " + (*sent)->failure(), {}};
  co_return Answer{(*sent)->status(), std::string((*sent)->body())};
}

Task<Status> Api::follow(std::string path, std::function<void(std::string_view)> take, std::shared_ptr<Call> call) {
  const std::shared_ptr<Api> self = shared_from_this();
  if (Status known = co_await negotiate(); !known) co_return known;
  const TimePoint until = now() + kForever;
  auto sent = co_await send("GET", version_ + path, "", until, call);
  if (!sent) co_return sent.error();
  http::ClientStatus status = http::ClientStatus::kOk;
  while (status == http::ClientStatus::kOk) {
    status = co_await (*sent)->receive(until);
    if (!(*sent)->head_done() || (*sent)->status() != 200) continue;
    const std::string_view piece = (*sent)->body();
    if (!piece.empty()) take(piece);
    (*sent)->consume_body(piece.size());
  }
  if (status == http::ClientStatus::kComplete && (*sent)->status() == 200) co_return Status();
  co_return Error{ErrorCode::kUnavailable, "Docker broke off: " + (*sent)->failure(), {}};
}

Error refusal(const Answer& answer, const std::string& what) {
  const Json said = Json::parse(answer.body, nullptr, false);
  std::string why = json::text_at(said, {"message"});
  if (why.empty()) why = "status " + std::to_string(answer.status);
  return Error{answer.status == 404 ? ErrorCode::kNotFound : ErrorCode::kInternal, what + ": Docker says: " + why, {}};
}

std::string escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace spillway::fleet::docker
