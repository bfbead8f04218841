#include "fleet/pull/http.h"

#include <curl/curl.h>

#include <charconv>
#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <utility>

#include "base/text.h"
#include "base/version.h"

namespace spillway::fleet::web {

namespace {

// Frees the header list with the handle that uses it: libcurl keeps a private pointer for us.
struct Extras {
  curl_slist* headers = nullptr;
};

void start_curl() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) throw std::runtime_error("libcurl cannot be started");
  });
}

struct Collected {
  Head head;
  std::string body;
  std::uint64_t limit = 0;
  bool too_large = false;
};

std::size_t collect_body(char* data, std::size_t, std::size_t size, void* to) {
  auto& out = *static_cast<Collected*>(to);
  if (out.body.size() + size > out.limit) {
    out.too_large = true;
    return 0;
  }
  out.body.append(data, size);
  return size;
}

std::size_t collect_header(char* data, std::size_t, std::size_t size, void* to) {
  read_header_line({data, size}, static_cast<Collected*>(to)->head);
  return size;
}

std::size_t refuse_body(char*, std::size_t, std::size_t, void*) { return 0; }

// For what failed below HTTP.
Error transport_error(CURLcode code, const char* why, const std::string& url) {
  if (code == CURLE_TOO_MANY_REDIRECTS) {
    return Error{ErrorCode::kCorrupt, shown(url) + " redirects in circles",
                 "is it the right address? Name another mirror"};
  }
  return Error{ErrorCode::kUnavailable, shown(url) + ": " + (*why != '\0' ? why : curl_easy_strerror(code)),
               "is the network up? A mirror or a proxy may be needed"};
}

}  // namespace

void EasyDeleter::operator()(CURL* easy) const {
  if (easy == nullptr) return;
  char* kept = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &kept);
  const std::unique_ptr<Extras> extras(reinterpret_cast<Extras*>(kept));
  curl_easy_cleanup(easy);
  if (extras) curl_slist_free_all(extras->headers);
}

Easy make_easy(const Request& request) {
  start_curl();
  Easy easy(curl_easy_init());
  if (!easy) throw std::runtime_error("libcurl gives no handle");
  auto extras = std::make_unique<Extras>();
  for (const std::string& header : request.headers)
    extras->headers = curl_slist_append(extras->headers, header.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_HTTPHEADER, extras->headers);
  curl_easy_setopt(easy.get(), CURLOPT_PRIVATE, extras.release());
  curl_easy_setopt(easy.get(), CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy.get(), CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(easy.get(), CURLOPT_MAXREDIRS, kMaxRedirects);
  curl_easy_setopt(easy.get(), CURLOPT_CONNECTTIMEOUT, kConnectTimeoutSeconds);
  curl_easy_setopt(easy.get(), CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy.get(), CURLOPT_REDIR_PROTOCOLS_STR, request.url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(easy.get(), CURLOPT_USERAGENT, ("spillway/" + std::string(version())).c_str());
  if (!request.bearer.empty()) {
    curl_easy_setopt(easy.get(), CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    curl_easy_setopt(easy.get(), CURLOPT_XOAUTH2_BEARER, request.bearer.c_str());
  }
  if (const char* trusted = std::getenv("SSL_CERT_FILE"); trusted != nullptr && *trusted != '\0') {
    curl_easy_setopt(easy.get(), CURLOPT_CAINFO, trusted);
  }
  return easy;
}

void read_header_line(std::string_view line, Head& head) {
  while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.remove_suffix(1);
  if (line.starts_with("HTTP/")) {
    Head next;
    next.linked_etag = std::move(head.linked_etag);
    next.linked_size = std::move(head.linked_size);
    next.repo_commit = std::move(head.repo_commit);
    head = std::move(next);
    const std::size_t space = line.find(' ');
    if (space != std::string_view::npos)
      head.status = std::strtol(std::string(line.substr(space)).c_str(), nullptr, 10);
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  const std::string name = to_lower(line.substr(0, colon));
  const std::string value(trim(line.substr(colon + 1)));
  if (name == "content-type") {
    head.content_type = to_lower(trim(std::string_view(value).substr(0, value.find(';'))));
  } else if (name == "content-range") {
    head.content_range = value;
  } else if (name == "content-digest") {
    head.content_digest = value;
  } else if (name == "etag") {
    if (!value.starts_with("W/")) head.validator = value;
  } else if (name == "x-linked-etag") {
    head.linked_etag = value;
  } else if (name == "x-linked-size") {
    head.linked_size = value;
  } else if (name == "x-repo-commit") {
    head.repo_commit = value;
  } else if (name == "last-modified" && head.validator.empty()) {
    head.validator = value;
  }
}

std::string shown(const std::string& url) {
  std::string out = url.substr(0, url.find_first_of("?#"));
  const std::size_t host = out.find("://");
  if (host == std::string::npos) return out;
  const std::size_t path = out.find('/', host + 3);
  const std::size_t at = out.rfind('@', path);
  if (at != std::string::npos && at > host) out.erase(host + 3, at - host - 2);
  return out;
}

Result<Document> get(const Request& request, std::uint64_t limit, long seconds) {
  const Easy easy = make_easy(request);
  Collected collected;
  collected.limit = limit;
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT, seconds);
  curl_easy_setopt(easy.get(), CURLOPT_ACCEPT_ENCODING, "");
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, collect_body);
  curl_easy_setopt(easy.get(), CURLOPT_WRITEDATA, &collected);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, collect_header);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &collected);
  const CURLcode code = curl_easy_perform(easy.get());
  if (collected.too_large) {
    return Error{ErrorCode::kCorrupt,
                 shown(request.url) + " answers with more than " + std::to_string(limit) + " bytes",
                 "is it the right address?"};
  }
  if (code != CURLE_OK) return transport_error(code, why, request.url);
  char* url = nullptr;
  curl_easy_getinfo(easy.get(), CURLINFO_EFFECTIVE_URL, &url);
  return Document{std::move(collected.head), url == nullptr ? request.url : url, std::move(collected.body)};
}

Result<Glance> glance(const Request& request, long seconds) {
  const Easy easy = make_easy(request);
  Collected collected;
  char why[CURL_ERROR_SIZE] = "";
  curl_easy_setopt(easy.get(), CURLOPT_ERRORBUFFER, why);
  curl_easy_setopt(easy.get(), CURLOPT_TIMEOUT, seconds);
  curl_easy_setopt(easy.get(), CURLOPT_RANGE, "0-0");
  curl_easy_setopt(easy.get(), CURLOPT_WRITEFUNCTION, refuse_body);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERFUNCTION, collect_header);
  curl_easy_setopt(easy.get(), CURLOPT_HEADERDATA, &collected);
  const CURLcode code = curl_easy_perform(easy.get());
  if (code != CURLE_OK && code != CURLE_WRITE_ERROR) return transport_error(code, why, request.url);
  Glance out{std::move(collected.head), std::nullopt};
  curl_off_t length = -1;
  curl_easy_getinfo(easy.get(), CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
  if (out.head.status == 206) {
    out.length = complete_length(out.head.content_range);
  } else if (length >= 0) {
    out.length = static_cast<std::uint64_t>(length);
  }
  return out;
}

std::optional<std::uint64_t> complete_length(std::string_view field) {
  const std::size_t slash = field.find('/');
  if (!field.starts_with("bytes ") || slash == std::string_view::npos) return std::nullopt;
  const std::string number(field.substr(slash + 1));
  std::uint64_t size = 0;
  const auto [end, error] = std::from_chars(number.c_str(), number.c_str() + number.size(), size);
  if (error != std::errc() || *end != '\0') return std::nullopt;
  return size;
}

Error status_error(long status, const std::string& url, const std::string& what) {
  const std::string said = shown(url) + " answers " + std::to_string(status);
  if (status == 401 || status == 403) {
    return Error{ErrorCode::kPermissionDenied, "no right to " + what + ": " + said,
                 "for a gated or private repository set HF_TOKEN, and accept its terms on its page"};
  }
  if (status == 404 || status == 410) {
    return Error{ErrorCode::kNotFound, "there is no " + what + ": " + said, "check its name"};
  }
  const bool later = status == 408 || status == 429 || status >= 500;
  return Error{later ? ErrorCode::kUnavailable : ErrorCode::kCorrupt, "cannot fetch " + what + ": " + said,
               later ? "try again later, or name a mirror" : "is it the right address?"};
}

}  // namespace spillway::fleet::web
