// TLS contexts for connections to upstreams and from clients.
#pragma once

#include <openssl/types.h>

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"

namespace spillway::http {

// A client context: TLS 1.2 and later, the system's certificate authorities and those of `ca_file`
// (PEM; empty: none further). The sessions that a server offers are kept in it, so it is for one server only; and
// for one thread, since OpenSSL 3.0 takes locks within a context.
Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file);

// A server context: TLS 1.2 and later, HTTP/1.1 by ALPN (a client that wants only others is refused, RFC 7301, 3.2).
// The texts are PEM: the certificate with its chain, and its private key. For one thread.
Result<std::shared_ptr<asio::ssl::context>> make_server_context(const std::string& cert_pem,
                                                                const std::string& key_pem);

// Lets a new connection of such a client context a context go on with a session of an earlier one (RFC 8446, 2.2),
// which spares the server's certificate and most of the handshake's CPU. Before the handshake; nothing where no session
// is kept.
void take_up_session(SSL* ssl);

}  // namespace spillway::http
