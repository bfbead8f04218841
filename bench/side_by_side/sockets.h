// What the benchmark's upstream and its load generator share: bare sockets, so that they cost little
// beside the proxy that is measured.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace spillway::bench {

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

inline void set_no_delay(int fd) {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

// The value of a header field in `head`, as "content-length: "; -1: it is not there.
inline long field(std::string_view head, std::string_view lower_case_name) {
  for (std::size_t at = 0; at + lower_case_name.size() < head.size(); ++at) {
    std::size_t same = 0;
    while (same < lower_case_name.size() && (head[at + same] | 0x20) == (lower_case_name[same] | 0x20)) ++same;
    if (same == lower_case_name.size()) return std::strtol(head.data() + at + same, nullptr, 10);
  }
  return -1;
}

}  // namespace spillway::bench
