#include "fleet/launcher/launcher.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

#include "base/file.h"
#include "base/ids.h"

namespace spillway::fleet {

namespace {

constexpr std::size_t kKeyBytes = 24;

// A port that is free now. Somebody may take it before the engine does: then the engine cannot
// bind, which is a failed start, and the next one gets another port.
Result<std::uint16_t> pick_port() {
  const FileDescriptor fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* any = reinterpret_cast<sockaddr*>(&address);
  if (!fd.valid() || ::bind(fd.get(), any, size) != 0 || ::getsockname(fd.get(), any, &size) != 0) {
    return system_error("cannot find a free port on", "127.0.0.1", errno);
  }
  return ntohs(address.sin_port);
}

}  // namespace

Result<Access> make_access() {
  const Result<std::uint16_t> port = pick_port();
  if (!port) return port.error();
  return Access{*port, random_secret(kKeyBytes)};
}

}  // namespace spillway::fleet
