// TLS contexts for connections to upstreams and from clients.
#pragma once

#include <openssl/types.h>

#include <boost/asio/ssl/context.hpp>
#include <map>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"

namespace spillway::http {

// A client context: TLS 1.2 and later, the system's certificate authorities and those of `ca_file`
// (PEM; empty: none further). For one thread, since OpenSSL 3.0 takes locks within a context. The certificates are read
// once in this process (45 ms and 1.5 MB), and again when their file has changed.
Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file);

// Those of one thread: one for each `ca_file`, whatever the number of servers.
class TlsContexts {
 public:
  Result<std::shared_ptr<asio::ssl::context>> client(const std::string& ca_file);

 private:
  struct Known {
    std::weak_ptr<asio::ssl::context> context;
    std::shared_ptr<const void> authorities;  // that it was made with
  };
  std::map<std::string, Known> known_;
};

// The sessions that one server has offered to one thread.
class TlsSessions;
std::shared_ptr<TlsSessions> make_tls_sessions();

// A server context: TLS 1.2 and later, HTTP/1.1 by ALPN (a client that wants only others is refused, RFC 7301, 3.2).
// The texts are PEM: the certificate with its chain, and its private key. For one thread.
Result<std::shared_ptr<asio::ssl::context>> make_server_context(const std::string& cert_pem,
                                                                const std::string& key_pem);

// Lets a new connection of a client context go on with a session of an earlier one to the same server (RFC 8446, 2.2),
// which spares the server's certificate and most of the handshake's CPU, and keeps those that it is offered. Before the
// handshake; null: nothing.
void take_up_session(SSL* ssl, std::shared_ptr<TlsSessions> sessions);

}  // namespace spillway::http
