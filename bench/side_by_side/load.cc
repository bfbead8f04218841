// A closed loop of requests: each connection sends the next one when its answer is whole.
//
//   spillway_bench_load --url http://127.0.0.1:PORT [--connections 32] [--requests N | --seconds S] [--stream]
//                       [--body-bytes 1000]
//
// Prints one line of JSON: requests, errors, events, seconds, latencies and times to the first event in
// microseconds. Whatever is not a 200 that came whole is an error and ends its connection; a stream is
// whole with its `[DONE]` and its last chunk.
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <limits>
#include <vector>

#include "options.h"
#include "sockets.h"

namespace spillway::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Plan {
  std::uint16_t port = 0;
  std::size_t connections = 32;
  long requests = std::numeric_limits<long>::max();
  long seconds = 0;  // 0: until `requests` are done
  bool stream = false;
  std::size_t body_bytes = 1000;
};

struct Connection {
  int fd = -1;
  std::string input;        // of the answer under way
  std::string body;         // of a stream, without the chunks' framing
  std::size_t framed = 0;   // where in `input` the next chunk begins
  std::size_t counted = 0;  // where in `body` the next event begins
  Clock::time_point began;
};

enum class Progress { kPartial, kWhole, kWrong };

double micros(Clock::duration duration) { return std::chrono::duration<double, std::micro>(duration).count(); }

double percentile(std::vector<double>& values, double share) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::string render_request(const Plan& plan) {
  std::string content;
  while (content.size() < plan.body_bytes) content += "word ";
  const std::string body = R"({"model":"test",)" + std::string(plan.stream ? R"("stream":true,)" : "") +
                           R"("temperature":0.7,"messages":[{"role":"user","content":")" + content + "\"}]}";
  return "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: application/json\r\n"
         "User-Agent: OpenAI/Python 3.54.0\r\nAuthorization: Bearer sk-test\r\nContent-Type: application/json\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

class Load {
 public:
  explicit Load(const Plan& plan)
      : plan_(plan), request_(render_request(plan)), connections_(plan.connections), left_(plan.requests) {}

  void run() {
    epoll_ = ::epoll_create1(0);
    for (Connection& connection : connections_) open(connection);
    const auto began = Clock::now();
    if (plan_.seconds > 0) end_ = began + std::chrono::seconds(plan_.seconds);
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
        R"({"requests":%zu,"errors":%ld,"events":%ld,"seconds":%.6f,"latency_us":{"p50":%.1f,"p90":%.1f,"p99":%.1f},)"
        R"("first_us":{"p50":%.1f,"p90":%.1f,"p99":%.1f}})"
        "\n",
        latencies_.size(), errors_, events_, seconds, percentile(latencies_, .5), percentile(latencies_, .9),
        percentile(latencies_, .99), percentile(firsts_, .5), percentile(firsts_, .9), percentile(firsts_, .99));
  }

 private:
  void open(Connection& connection) {
    connection.fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = loopback(plan_.port);
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

  void fail(Connection& connection) {
    ++errors_;
    close(connection);
  }

  void next(Connection& connection) {
    connection.began = Clock::now();
    if (left_ == 0 || connection.began >= end_) return close(connection);
    --left_;
    connection.input.clear();
    connection.body.clear();
    connection.framed = 0;
    connection.counted = 0;
    if (::send(connection.fd, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size())) {
      fail(connection);
    }
  }

  void read(Connection& connection) {
    std::array<char, 65536> block;
    const ssize_t got = ::recv(connection.fd, block.data(), block.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) return fail(connection);
    connection.input.append(block.data(), static_cast<std::size_t>(got));
    const std::size_t head = connection.input.find("\r\n\r\n");
    if (head == std::string::npos) return;
    switch (plan_.stream ? stream_progress(connection, head + 4) : whole_progress(connection, head + 4)) {
      case Progress::kPartial: return;
      case Progress::kWrong: return fail(connection);
      case Progress::kWhole: break;
    }
    latencies_.push_back(micros(Clock::now() - connection.began));
    next(connection);
  }

  static bool is_200(const Connection& connection) { return connection.input.starts_with("HTTP/1.1 200 "); }

  static Progress whole_progress(const Connection& connection, std::size_t body) {
    const long length = field(std::string_view(connection.input).substr(0, body - 2), "content-length:");
    if (!is_200(connection) || length < 0) return Progress::kWrong;
    const std::size_t size = body + static_cast<std::size_t>(length);
    if (connection.input.size() > size) return Progress::kWrong;
    return connection.input.size() == size ? Progress::kWhole : Progress::kPartial;
  }

  // Takes the chunks apart, since a proxy may cut an event anywhere.
  Progress stream_progress(Connection& connection, std::size_t body) {
    if (!is_200(connection)) return Progress::kWrong;
    const std::string& input = connection.input;
    std::size_t& at = connection.framed;
    if (at == 0) at = body;
    for (;;) {
      const std::size_t line = input.find("\r\n", at);
      if (line == std::string::npos) break;
      std::size_t size = 0;
      const auto parsed = std::from_chars(input.data() + at, input.data() + line, size, 16);
      if (parsed.ec != std::errc{} || size > (1u << 30)) return Progress::kWrong;
      if (input.size() < line + 2 + size + 2) break;
      connection.body.append(input, line + 2, size);
      at = line + 2 + size + 2;
      count_events(connection);
      if (size > 0) continue;
      return at == input.size() && connection.body.ends_with("data: [DONE]\n\n") ? Progress::kWhole : Progress::kWrong;
    }
    return Progress::kPartial;
  }

  void count_events(Connection& connection) {
    std::size_t end = 0;
    while ((end = connection.body.find("\n\n", connection.counted)) != std::string::npos) {
      if (connection.counted == 0) firsts_.push_back(micros(Clock::now() - connection.began));
      connection.counted = end + 2;
      ++events_;
    }
  }

  Plan plan_;
  std::string request_;
  std::vector<Connection> connections_;
  long left_;
  Clock::time_point end_ = Clock::time_point::max();
  int epoll_ = -1;
  std::size_t open_ = 0;
  long errors_ = 0;
  long events_ = 0;
  std::vector<double> latencies_;
  std::vector<double> firsts_;
};

// The port of "http://127.0.0.1:PORT", whatever path follows; 0: it is no such address.
std::uint16_t port_of(std::string_view url) {
  constexpr std::string_view kBefore = "http://127.0.0.1:";
  if (!url.starts_with(kBefore)) return 0;
  std::uint16_t port = 0;
  std::from_chars(url.data() + kBefore.size(), url.data() + url.size(), port);
  return port;
}

}  // namespace
}  // namespace spillway::bench

int main(int argc, char** argv) {
  spillway::bench::Options options(argc, argv,
                                   "spillway_bench_load --url http://127.0.0.1:PORT [--connections 32]"
                                   " --requests N | --seconds S [--stream] [--body-bytes 1000]");
  spillway::bench::Plan plan;
  bool bounded = false;
  for (std::string_view name = options.next(); !name.empty(); name = options.next()) {
    if (name == "--url") {
      plan.port = spillway::bench::port_of(options.text());
    } else if (name == "--connections") {
      plan.connections = static_cast<std::size_t>(options.number());
    } else if (name == "--requests") {
      plan.requests = options.number();
      bounded = true;
    } else if (name == "--seconds") {
      plan.seconds = options.number();
      bounded = bounded || plan.seconds > 0;
    } else if (name == "--stream") {
      plan.stream = true;
    } else if (name == "--body-bytes") {
      plan.body_bytes = static_cast<std::size_t>(options.number());
    } else {
      options.refuse();
    }
  }
  if (plan.port == 0 || plan.connections == 0 || !bounded) options.refuse();
  spillway::bench::Load(plan).run();
}
