#include "http/tls.h"

#include <openssl/ssl.h>

namespace spillway::http {

Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX* const native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS);
  // Some providers close without close_notify; whether an answer is whole is told by its framing.
  SSL_CTX_set_options(native, SSL_OP_IGNORE_UNEXPECTED_EOF);
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

}  // namespace spillway::http
