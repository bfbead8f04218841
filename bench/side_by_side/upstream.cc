// A provider that costs next to nothing: one thread, epoll, fixed answers.
//
//   spillway_bench_upstream --events N --interval-us U
//
// Answers a chat completion whole, or, where the body asks for a stream, with the role's event, N more
// of which the last tells the finish, and `[DONE]` in the same write as that. Any other event is a write of
// its own: all streams get one every U microseconds, or, with 0, one in turn whenever their sockets take it.
// Prints its port.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <map>
#include <vector>

#include "options.h"
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
    // An interval of 0 leaves the timer off: then writable sockets set the pace.
    const itimerspec pace{{interval_us_ / 1'000'000, interval_us_ % 1'000'000 * 1000},
                          {interval_us_ / 1'000'000, interval_us_ % 1'000'000 * 1000}};
    if (::timerfd_settime(timer_, 0, &pace, nullptr) != 0) die("timerfd");
    epoll_ = ::epoll_create1(0);
    control(EPOLL_CTL_ADD, listener_, EPOLLIN);
    control(EPOLL_CTL_ADD, timer_, EPOLLIN);
    std::array<epoll_event, 256> ready{};
    for (;;) {
      const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), -1);
      for (int i = 0; i < count; ++i) {
        const epoll_event& event = ready[static_cast<std::size_t>(i)];
        const int fd = event.data.fd;
        if (fd == listener_) {
          accept_all();
        } else if (fd == timer_) {
          tick();
        } else if ((event.events & ~EPOLLOUT) != 0) {
          read(fd);
        } else {
          proceed(fd, clients_[fd]);
        }
      }
    }
  }

 private:
  void control(int operation, int fd, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    if (::epoll_ctl(epoll_, operation, fd, &event) != 0) die("epoll_ctl");
  }

  void accept_all() {
    for (;;) {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
      if (fd < 0) return;
      set_no_delay(fd);
      clients_[fd] = {};
      control(EPOLL_CTL_ADD, fd, EPOLLIN);
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
    if (!stream) {
      send(fd, whole_);
      return;
    }
    client.to_send = events_;
    send(fd, first_);
    if (interval_us_ == 0) control(EPOLL_CTL_MOD, fd, EPOLLIN | EPOLLOUT);
  }

  void tick() {
    std::uint64_t expirations = 0;
    if (::read(timer_, &expirations, sizeof expirations) < 0) return;
    for (auto& [fd, client] : clients_) {
      if (client.to_send > 0) proceed(fd, client);
    }
  }

  // The stream's next event. A socket that is full gets it the next time.
  void proceed(int fd, Client& client) {
    if (!send(fd, client.to_send == 1 ? last_ : token_)) return;
    if (--client.to_send == 0 && interval_us_ == 0) control(EPOLL_CTL_MOD, fd, EPOLLIN);
  }

  // False: the socket is full. A client that has left is noticed when it is read from.
  static bool send(int fd, const std::string& data) {
    const ssize_t sent = ::send(fd, data.data(), data.size(), MSG_NOSIGNAL);
    if (sent == static_cast<ssize_t>(data.size())) return true;
    if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return true;
    die("send");
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
  spillway::bench::Options options(argc, argv, "spillway_bench_upstream [--events N] [--interval-us U]");
  long events = 200;
  long interval_us = 2000;
  for (std::string_view name = options.next(); !name.empty(); name = options.next()) {
    if (name == "--events") {
      events = options.number();
    } else if (name == "--interval-us") {
      interval_us = options.number();
    } else {
      options.refuse();
    }
  }
  if (events == 0) options.refuse();
  spillway::bench::Upstream(events, interval_us).run();
}
