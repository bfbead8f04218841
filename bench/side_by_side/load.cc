// A closed loop of requests: each connection sends the next one when its answer is whole.
//
//   spillway_bench_load PORT CONNECTIONS REQUESTS whole|stream BODY_BYTES
//
// Prints one line of JSON: requests, errors, events, seconds, latencies and times to the first event in
// microseconds. Whatever is not a 200 that came whole is an error.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <vector>

#include "sockets.h"

namespace spillway::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  int fd = -1;
  std::string input;
  std::size_t scanned = 0;
  Clock::time_point began;
  bool first_seen = false;
};

double micros(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

class Load {
 public:
  Load(std::uint16_t port, std::size_t connections, long requests, bool stream, std::size_t body_bytes)
      : port_(port), connections_(connections), left_(requests), stream_(stream) {
    std::string content;
    while (content.size() < body_bytes) content += "word ";
    const std::string body = R"({"model":"test",)" + std::string(stream ? R"("stream":true,)" : "") +
                             R"("temperature":0.7,"messages":[{"role":"user","content":")" + content + "\"}]}";
    request_ =
        "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\nUser-Agent: "
        "OpenAI/Python 3.54.0\r\n"
        "Authorization: Bearer sk-test\r\nContent-Type: application/json\r\nContent-Length: " +
        std::to_string(body.size()) + "\r\n\r\n" + body;
  }

  void run() {
    epoll_ = ::epoll_create1(0);
    for (Connection& connection : connections_) open(connection);
    const auto began = Clock::now();
    for (Connection& connection : connections_) next(connection);
    std::array<epoll_event, 256> ready{};
    while (open_ > 0) {
      const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), 30'000);
      if (count == 0) {
        std::fprintf(stderr, "no answer for 30 s\n");
        std::exit(1);
      }
      for (int i = 0; i < count; ++i) read(*static_cast<Connection*>(ready[static_cast<std::size_t>(i)].data.ptr));
    }
    const double seconds = micros(Clock::now() - began) / 1e6;
    std::printf(
        R"({"requests":%zu,"errors":%ld,"events":%ld,"seconds":%.6f,"latency_us":{"p50":%.1f,"p90":%.1f,"p99":%.1f},"first_us":{"p50":%.1f,"p99":%.1f}})"
        "\n",
        latencies_.size(), errors_, events_, seconds, percentile(latencies_, .5), percentile(latencies_, .9),
        percentile(latencies_, .99), percentile(firsts_, .5), percentile(firsts_, .99));
  }

 private:
  void open(Connection& connection) {
    connection.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(port_);
    if (::connect(connection.fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
    set_no_delay(connection.fd);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = &connection;
    ::epoll_ctl(epoll_, EPOLL_CTL_ADD, connection.fd, &event);
    ++open_;
  }

  void close(Connection& connection) {
    ::close(connection.fd);
    --open_;
  }

  void next(Connection& connection) {
    if (left_ == 0) return close(connection);
    --left_;
    connection.input.clear();
    connection.scanned = 0;
    connection.first_seen = false;
    connection.began = Clock::now();
    if (::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      ++errors_;
      close(connection);
    }
  }

  void read(Connection& connection) {
    std::array<char, 65536> block;
    const ssize_t got = ::recv(connection.fd, block.data(), block.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      ++errors_;
      return close(connection);
    }
    connection.input.append(block.data(), static_cast<std::size_t>(got));
    const std::size_t head = connection.input.find("\r\n\r\n");
    if (head == std::string::npos) return;
    if (stream_) {
      count_events(connection, head + 4);
      if (!connection.input.ends_with("\r\n0\r\n\r\n")) return;
    } else {
      const long length = field(std::string_view(connection.input).substr(0, head + 2), "content-length:");
      if (length < 0 || connection.input.size() < head + 4 + static_cast<std::size_t>(length)) return;
    }
    const bool good = connection.input.starts_with("HTTP/1.1 200 ") &&
                      (!stream_ || connection.input.find("data: [DONE]") != std::string::npos);
    if (!good) ++errors_;
    latencies_.push_back(micros(Clock::now() - connection.began));
    next(connection);
  }

  void count_events(Connection& connection, std::size_t body) {
    std::size_t at = std::max(connection.scanned, body);
    while ((at = connection.input.find("\n\n", at)) != std::string::npos) {
      at += 2;
      connection.scanned = at;
      ++events_;
      if (connection.first_seen) continue;
      connection.first_seen = true;
      firsts_.push_back(micros(Clock::now() - connection.began));
    }
  }

  std::uint16_t port_;
  std::vector<Connection> connections_;
  long left_;
  bool stream_;
  std::string request_;
  int epoll_ = -1;
  std::size_t open_ = 0;
  long errors_ = 0;
  long events_ = 0;
  std::vector<double> latencies_;
  std::vector<double> firsts_;
};

}  // namespace
}  // namespace spillway::bench

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: spillway_bench_load PORT CONNECTIONS REQUESTS whole|stream BODY_BYTES\n");
    return 2;
  }
  spillway::bench::Load(static_cast<std::uint16_t>(std::strtoul(argv[1], nullptr, 10)),
                        std::strtoul(argv[2], nullptr, 10), std::strtol(argv[3], nullptr, 10),
                        std::string_view(argv[4]) == "stream", std::strtoul(argv[5], nullptr, 10))
      .run();
}
