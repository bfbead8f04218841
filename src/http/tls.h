// TLS contexts for connections to upstreams.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/loop.h"
#include "base/result.h"

namespace spillway::http {

// A client context: TLS 1.2 and later, the system's certificate authorities and those of `ca_file`
// (PEM; empty: none further), session tickets kept for resumption by OpenSSL. One for each thread,
// since OpenSSL 3.0 takes locks within a context.
Result<std::shared_ptr<asio::ssl::context>> make_client_context(const std::string& ca_file);

}  // namespace spillway::http
