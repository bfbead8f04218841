#include "admit/origin.h"

#include <algorithm>

#include "base/text.h"

namespace spillway::admit {

namespace {

constexpr std::size_t kShown = 200;  // characters of what a client sent that are repeated to it

// The host of "host:port", without brackets and the root's dot.
std::string_view host_of(std::string_view authority) {
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    return close == std::string_view::npos ? authority : authority.substr(1, close - 1);
  }
  std::string_view host = authority.substr(0, authority.find(':'));
  if (host.ends_with('.')) host.remove_suffix(1);
  return host;
}

// This machine, whatever DNS says: localhost and below (RFC 6761, 6.3), 127.0.0.0/8, ::1.
bool is_this_machine(std::string_view host) {
  constexpr std::string_view kBelow = ".localhost";
  if (equals_ignore_case(host, "localhost") || host == "::1" || host == "127.0.0.1") return true;
  if (host.size() > kBelow.size() && equals_ignore_case(host.substr(host.size() - kBelow.size()), kBelow)) return true;
  return host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string_view::npos;
}

bool is_in(const std::vector<std::string>& list, std::string_view text) {
  return std::any_of(list.begin(), list.end(),
                     [&](const std::string& one) { return one == "*" || equals_ignore_case(one, text); });
}

api::ApiError refusal(std::string message) { return {403, "foreign_origin", std::move(message)}; }

}  // namespace

OriginRules::OriginRules(const config::Address& listen, std::vector<std::string> cors_origins,
                         std::vector<std::string> hosts)
    : on_loopback_(listen.is_loopback()), cors_origins_(std::move(cors_origins)), hosts_(std::move(hosts)) {}

// A name without a dot is not in the public DNS, so no page can have one.
bool OriginRules::may_be_asked_as(std::string_view host) const {
  const bool is_plain = host.find_first_of(".:[") == std::string_view::npos;
  return !on_loopback_ || is_plain || is_this_machine(host) || is_in(hosts_, host);
}

bool OriginRules::may_ask(std::string_view origin) const {
  if (is_in(cors_origins_, origin)) return true;
  const std::size_t scheme = origin.find("://");
  if (scheme == std::string_view::npos) return false;  // "null": a file, a sandboxed frame
  const std::string_view host = host_of(origin.substr(scheme + 3));
  return is_this_machine(host) || std::any_of(hosts_.begin(), hosts_.end(),
                                              [&](const std::string& own) { return equals_ignore_case(own, host); });
}

std::optional<api::ApiError> OriginRules::check(const http::Headers& headers) const {
  const std::string_view host = headers.get("host");
  if (!host.empty() && !may_be_asked_as(host_of(host))) {
    return refusal(
        "\"" + std::string(host.substr(0, kShown)) +
        "\" is not a name of this gateway, which listens on loopback; who runs it can add it to server.hosts");
  }
  const std::string_view origin = headers.get("origin");
  if (!origin.empty() && !may_ask(origin)) {
    return refusal("pages of " + std::string(origin.substr(0, kShown)) +
                   " may not ask here; who runs this gateway can add it to server.cors_origins");
  }
  return std::nullopt;
}

}  // namespace spillway::admit
