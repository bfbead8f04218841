// A provider that costs next to nothing: one thread, epoll, fixed answers.
//
//   spillway_bench_upstream EVENTS INTERVAL_US
//
// Answers a chat completion whole, or, where the body asks for a stream, as EVENTS events with
// INTERVAL_US microseconds between them, each in a write of its own. Prints its port.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <map>
#include <vector>

#include "sockets.h"

namespace spillway::bench {
namespace {

constexpr std::string_view kWhole =
    R"({"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"m","choices":[{"index":0,"message":)"
    R"({"role":"assistant","content":"Hello there"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}})";

std::string chunk(std::string_view delta, std::string_view finish) {
  const std::string event =
      R"(data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{"index":0,"delta":)" +
      std::string(delta) + ",\"finish_reason\":" + std::string(finish) + "}]}\n\n";
  std::array<char, 16> size{};
  std::snprintf(size.data(), size.size(), "%zx\r\n", event.size());
  return size.data() + event + "\r\n";
}

struct Client {
  std::string input;
  long to_send = 0;  // events of the stream under way
};

class Upstream {
 public:
  Upstream(long events, long interval_us) : events_(events), interval_us_(interval_us) {
    whole_ = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(kWhole.size()) +
             "\r\n\r\n" + std::string(kWhole);
    first_ = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
             chunk(R"({"role":"assistant","content":""})", "null");
    token_ = chunk(R"({"content":" token"})", "null");
    last_ = chunk("{}", "\"stop\"") + "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
  }

  void run() {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || ::listen(listener_, 1024) != 0)
      die("listen");
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("%u\n", ntohs(address.sin_port));
    std::fflush(stdout);
    timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    const itimerspec pace{{interval_us_ / 1'000'000, interval_us_ % 1'000'000 * 1000},
                          {interval_us_ / 1'000'000, interval_us_ % 1'000'000 * 1000}};
    if (::timerfd_settime(timer_, 0, &pace, nullptr) != 0) die("timerfd");
    epoll_ = ::epoll_create1(0);
    watch(listener_);
    watch(timer_);
    std::array<epoll_event, 256> ready{};
    for (;;) {
      const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int fd = ready[static_cast<std::size_t>(i)].data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (fd == timer_) {
          tick();
        } else {
          read(fd);
        }
      }
    }
  }

 private:
  void watch(int fd) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      set_no_delay(fd);
      clients_[fd] = {};
      watch(fd);
    }
  }

  void read(int fd) {
    Client& client = clients_[fd];
    std::array<char, 65536> block;
    const ssize_t got = ::recv(fd, block.data(), block.size(), 0);
    if (got <= 0) {
      ::close(fd);
      clients_.erase(fd);
      return;
    }
    client.input.append(block.data(), static_cast<std::size_t>(got));
    const std::size_t head = client.input.find("\r\n\r\n");
    if (head == std::string::npos) return;
    const long length = field(std::string_view(client.input).substr(0, head + 2), "content-length:");
    if (client.input.size() < head + 4 + static_cast<std::size_t>(length > 0 ? length : 0)) return;
    const bool stream = client.input.find("\"stream\":true") != std::string::npos;
    client.input.clear();
    if (!stream) return send(fd, whole_);
    client.to_send = events_;
    send(fd, first_);
  }

  void tick() {
    std::uint64_t expirations = 0;
    if (::read(timer_, &expirations, sizeof expirations) < 0) return;
    for (auto& [fd, client] : clients_) {
      if (client.to_send == 0) continue;
      send(fd, --client.to_send == 0 ? last_ : token_);
    }
  }

  // Small pieces into an empty socket: they are always taken whole.
  static void send(int fd, const std::string& data) {
    if (::send(fd, data.data(), data.size(), MSG_NOSIGNAL) < 0 && errno != EPIPE && errno != ECONNRESET) die("send");
  }

  long events_;
  long interval_us_;
  std::string whole_;
  std::string first_;
  std::string token_;
  std::string last_;
  int listener_ = -1;
  int timer_ = -1;
  int epoll_ = -1;
  std::map<int, Client> clients_;
};

}  // namespace
}  // namespace spillway::bench

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: spillway_bench_upstream EVENTS INTERVAL_US\n");
    return 2;
  }
  spillway::bench::Upstream(std::strtol(argv[1], nullptr, 10), std::strtol(argv[2], nullptr, 10)).run();
}
