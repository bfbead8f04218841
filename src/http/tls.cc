#include "http/tls.h"

#include <openssl/ssl.h>

#include <vector>

namespace spillway::http {

namespace {

// Sessions of one context, the newest last. A ticket of TLS 1.3 should be used once (RFC 8446, C.4), so one that is
// taken is gone; a server sends one or two with each handshake.
class Sessions {
 public:
  static constexpr std::size_t kMost = 8;

  ~Sessions() {
    for (SSL_SESSION* session : kept_) SSL_SESSION_free(session);
  }
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

void free_sessions(void*, void* sessions, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Sessions*>(sessions);
}

// Where a context keeps its Sessions.
int sessions_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_sessions);
  return index;
}

Sessions* sessions_of(SSL* ssl) {
  return static_cast<Sessions*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), sessions_index()));
}

// A copy is kept: OpenSSL makes the original unfit when its connection ends without close_notify
// (ssl_clear_bad_session), which is how most do.
int on_new_session(SSL* ssl, SSL_SESSION* session) {
  if (Sessions* const sessions = sessions_of(ssl)) {
    if (SSL_SESSION* const copy = SSL_SESSION_dup(session)) sessions->keep(copy);
  }
  return 0;  // no reference is taken
}

}  // namespace

Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  // Some providers close without close_notify; whether an answer is whole is told by its framing.
  SSL_CTX_set_options(native, SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_set_ex_data(native, sessions_index(), new Sessions);
  SSL_CTX_sess_set_new_cb(native, on_new_session);
  ErrorStatus ec;
  context->set_default_verify_paths(ec);
  if (ec)
    return Error{ErrorCode::kUnavailable, "the system's certificate authorities cannot be read: " + ec.message(),
                 "install the package ca-certificates"};
  if (!ca_file.empty()) {
    context->load_verify_file(ca_file, ec);
    if (ec) {
      return Error{ErrorCode::kInvalidArgument,
                   "cannot use " + ca_file + " as certificate authorities: " + ec.message(),
                   "it has to be a readable PEM file of certificates"};
    }
  }
  return context;
}

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

void take_up_session(SSL* ssl) {
  Sessions* const sessions = sessions_of(ssl);
  SSL_SESSION* const session = sessions != nullptr ? sessions->take() : nullptr;
  if (session == nullptr) return;
  SSL_set_session(ssl, session);  // takes a reference of its own
  SSL_SESSION_free(session);
}

}  // namespace spillway::http
