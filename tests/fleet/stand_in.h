// The stand-in engine, as Replica and Fleet see it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <string>
#include <utility>

#include "base/file.h"
#include "fleet/fleet.h"

namespace spillway::fleet::testing {

// What the engine on 127.0.0.1:`port` says to whoever connects; empty when nobody listens.
inline std::string greeting(std::uint16_t port) {
  const FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return {};
  std::string text;
  char block[256];
  for (ssize_t got; (got = ::read(fd.get(), block, sizeof block)) > 0;)
    text.append(block, static_cast<std::size_t>(got));
  return text;
}

// Well is the engine that knows the key it was started with.
inline Probe make_stand_in_probe(boost::asio::io_context& loop) {
  return [&loop](const ProbeRequest& request, std::function<void(Status)> done) {
    const std::string key = greeting(request.port);
    Status status;
    if (key.empty()) {
      status = Error{ErrorCode::kUnavailable, "it does not listen yet"};
    } else if (key != request.key) {
      status = Error{ErrorCode::kInternal, "it has another key"};
    }
    boost::asio::post(loop, [done = std::move(done), status] { done(status); });
  };
}

// Whether the process is there; a zombie is not.
inline bool alive(int pid) {
  const auto stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  return stat.ok() && stat->find(") Z ") == std::string::npos;
}

}  // namespace spillway::fleet::testing
