// HTTP for downloads: libcurl, with what every request to a registry has in common.
//
// Redirects are followed, at most kMaxRedirects of them, never from https to http and never to another scheme; a token
// does not go on to another host. Proxies come from the usual variables (http_proxy, https_proxy, no_proxy), trusted
// authorities from SSL_CERT_FILE where it is set.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

using CURL = void;

namespace spillway::fleet::web {

inline constexpr long kMaxRedirects = 8;
inline constexpr long kConnectTimeoutSeconds = 15;

struct Request {
  std::string url;
  std::string bearer;                // a token; empty: none
  std::vector<std::string> headers;  // "Name: value"
};

struct EasyDeleter {
  void operator()(CURL* easy) const;
};
using Easy = std::unique_ptr<CURL, EasyDeleter>;

// A handle with all of the above set; headers are kept alive with it.
Easy make_easy(const Request& request);

// What is known of an answer before its body, or where it has none.
struct Head {
  long status = 0;
  std::string content_type;    // lower case, without parameters
  std::string content_range;   // RFC 9110, 14.4
  std::string content_digest;  // RFC 9530
  std::string validator;       // a strong ETag, else Last-Modified, else empty
  // What Hugging Face tells of a file before it redirects to where that is: kept over the redirect.
  std::string linked_etag;  // the SHA-256
  std::string linked_size;
  std::string repo_commit;
};
// Adds one line as libcurl hands it over; a new status line starts anew, so that only the last answer of a row of
// redirects counts.
void read_header_line(std::string_view line, Head& head);

// "https://host/path" without query and credentials: for messages.
std::string shown(const std::string& url);

struct Document {
  Head head;
  std::string url;  // after redirects
  std::string body;
};

// GET of a small document. Any status is a value; an Error is what kept it from coming whole: kUnavailable for the
// network, kCorrupt for one of more than `limit` bytes or for redirects in circles. Blocks for at most `seconds`.
Result<Document> get(const Request& request, std::uint64_t limit, long seconds = 60);

// The head of an answer to a request for the first byte alone; `length` is the whole file's, where it is told.
struct Glance {
  Head head;
  std::optional<std::uint64_t> length;
};
Result<Glance> glance(const Request& request, long seconds = 60);

// The size that a Content-Range tells (RFC 9110, 14.4); nothing where it does not.
std::optional<std::uint64_t> complete_length(std::string_view field);

// The Error that a status other than 2xx means; `what` is what was asked for.
Error status_error(long status, const std::string& url, const std::string& what);

}  // namespace spillway::fleet::web
