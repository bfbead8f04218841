#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "base/mutex.h"

namespace spillway::http {

// The newest last. A ticket of TLS 1.3 should be used once (RFC 8446, C.4), so one that is taken is gone; a server
// sends one or two with each handshake.
class TlsSessions {
 public:
  static constexpr std::size_t kMost = 8;

  TlsSessions() = default;
  ~TlsSessions() {
    for (SSL_SESSION* session : kept_) SSL_SESSION_free(session);
  }
  TlsSessions(const TlsSessions&) = delete;
  TlsSessions& operator=(const TlsSessions&) = delete;

  void keep(SSL_SESSION* session) {
    if (kept_.size() == kMost) {
      SSL_SESSION_free(kept_.front());
      kept_.erase(kept_.begin());
    }
    kept_.push_back(session);
  }
  SSL_SESSION* take() {
    while (!kept_.empty()) {
      SSL_SESSION* const session = kept_.back();
      kept_.pop_back();
      if (SSL_SESSION_is_resumable(session) == 1) return session;
      SSL_SESSION_free(session);
    }
    return nullptr;
  }

 private:
  std::vector<SSL_SESSION*> kept_;
};

namespace {

using Sessions = std::shared_ptr<TlsSessions>;

void free_sessions(void*, void* sessions, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Sessions*>(sessions);
}

// Where a connection has its Sessions.
int sessions_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_sessions);
  return index;
}

// A copy is kept: OpenSSL makes the original unfit when its connection ends without close_notify
// (ssl_clear_bad_session), which is how most do.
int on_new_session(SSL* ssl, SSL_SESSION* session) {
  if (const auto* const sessions = static_cast<Sessions*>(SSL_get_ex_data(ssl, sessions_index()))) {
    if (SSL_SESSION* const copy = SSL_SESSION_dup(session)) (*sessions)->keep(copy);
  }
  return 0;  // no reference is taken
}

// Whom a client trusts: immutable once made, shared by all threads.
using Authorities = std::shared_ptr<X509_STORE>;

Result<Authorities> read_authorities(const std::string& ca_file) {
  const Authorities store(X509_STORE_new(), X509_STORE_free);
  const auto failure = [] {
    const ErrorStatus ec(static_cast<int>(ERR_get_error()), asio::error::get_ssl_category());
    ERR_clear_error();
    return ec.message();
  };
  if (store == nullptr || X509_STORE_set_default_paths(store.get()) != 1) {
    return Error{ErrorCode::kUnavailable, "the system's certificate authorities cannot be read: " + failure(),
                 "install the package ca-certificates"};
  }
  if (!ca_file.empty() && X509_STORE_load_locations(store.get(), ca_file.c_str(), nullptr) != 1) {
    return Error{ErrorCode::kInvalidArgument, "cannot use " + ca_file + " as certificate authorities: " + failure(),
                 "it has to be a readable PEM file of certificates"};
  }
  return store;
}

// Changes when the files do.
std::string stamp_of(const std::string& ca_file) {
  std::string out;
  for (const std::string& file : {std::string(X509_get_default_cert_file()), ca_file}) {
    std::error_code ec;
    const auto written = std::filesystem::last_write_time(file, ec);
    out += ec ? "-" : std::to_string(written.time_since_epoch().count());
    const auto size = std::filesystem::file_size(file, ec);
    out += ec ? "- " : ":" + std::to_string(size) + " ";
  }
  return out;
}

Result<Authorities> authorities_of(const std::string& ca_file) {
  struct Known {
    std::string stamp;
    Authorities authorities;
  };
  static Mutex mutex;
  static std::map<std::string, Known> known;
  constexpr std::size_t kMost = 64;  // that nobody uses any more
  const std::string stamp = stamp_of(ca_file);
  const MutexLock lock(mutex);
  const auto found = known.find(ca_file);
  if (found != known.end() && found->second.stamp == stamp) return found->second.authorities;
  Result<Authorities> read = read_authorities(ca_file);
  if (!read) return read;
  if (known.size() > kMost)
    std::erase_if(known, [](const auto& one) { return one.second.authorities.use_count() == 1; });
  known[ca_file] = {stamp, *read};
  return read;
}

std::shared_ptr<asio::ssl::context> make_context(const Authorities& authorities) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  // Some providers close without close_notify; whether an answer is whole is told by its framing.
  SSL_CTX_set_options(native, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(native, on_new_session);
  SSL_CTX_set1_cert_store(native, authorities.get());
  return context;
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file) {
  const Result<Authorities> authorities = authorities_of(ca_file);
  if (!authorities) return authorities.error();
  return make_context(*authorities);
}

Result<std::shared_ptr<asio::ssl::context>> TlsContexts::client(const std::string& ca_file) {
  const Result<Authorities> authorities = authorities_of(ca_file);
  if (!authorities) return authorities.error();
  Known& known = known_[ca_file];
  auto context = known.context.lock();
  if (context != nullptr && known.authorities == *authorities) return context;
  context = make_context(*authorities);
  known = {context, *authorities};
  return context;
}

std::shared_ptr<TlsSessions> make_tls_sessions() { return std::make_shared<TlsSessions>(); }

namespace {

int select_protocol(SSL*, const unsigned char** out, unsigned char* out_length, const unsigned char* offered,
                    unsigned int length, void*) {
  static constexpr unsigned char kHttp11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_length, kHttp11, sizeof kHttp11, offered, length) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_server_context(const std::string& cert_pem,
                                                                const std::string& key_pem) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(native, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION |
                                  SSL_OP_PRIORITIZE_CHACHA);
  // Sessions are kept by clients, in tickets; nothing grows here.
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_alpn_select_cb(native, select_protocol, nullptr);
  const auto unusable = [](const std::string& what, const ErrorStatus& ec, std::string hint) {
    return Error{ErrorCode::kInvalidArgument, what + " cannot be used: " + ec.message(), std::move(hint)};
  };
  ErrorStatus ec;
  context->use_certificate_chain(asio::buffer(cert_pem), ec);
  if (ec)
    return unusable("the certificate of server.tls", ec, "it has to be PEM: the certificate first, then its chain");
  context->use_private_key(asio::buffer(key_pem), asio::ssl::context::pem, ec);
  if (ec)
    return unusable("the key of server.tls", ec,
                    "it has to be the PEM private key of that certificate, without a password");
  return context;
}

void take_up_session(SSL* ssl, std::shared_ptr<TlsSessions> sessions) {
  if (sessions == nullptr) return;
  SSL_SESSION* const session = sessions->take();
  SSL_set_ex_data(ssl, sessions_index(), new Sessions(std::move(sessions)));
  if (session == nullptr) return;
  SSL_set_session(ssl, session);  // takes a reference of its own
  SSL_SESSION_free(session);
}

}  // namespace spillway::http
