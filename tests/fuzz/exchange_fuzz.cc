// What upstreams say, through a whole Exchange: any bytes of one or two of them, for a client of any Dialect, streamed
// or put together. The client's answer is legal in its Dialect, its text is what an upstream said, in order, and it is
// whole only if an upstream's was.
//
// An input: a line "CLIENT FIRST SECOND stream|whole", as in "responses anthropic openai stream"; then what the first
// upstream says, a line "--next--", and what the second says. Other words are taken for some of these.
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <charconv>
#include <map>
#include <memory>

#include "attempt/exchange.h"
#include "base/bug.h"
#include "base/json_text.h"
#include "base/log.h"
#include "pieces.h"

namespace {

using namespace spillway;
using fuzz::require;
using Socket = asio::basic_stream_socket<asio::ip::tcp, Executor>;
using Acceptor = asio::basic_socket_acceptor<asio::ip::tcp, Executor>;

constexpr std::array kClients{api::Endpoint::kChat, api::Endpoint::kMessages, api::Endpoint::kOllamaChat,
                              api::Endpoint::kResponses};
constexpr std::array kKinds{Dialect::kOpenAi, Dialect::kAnthropic, Dialect::kOllama};
constexpr std::array<std::string_view, 4> kWords{"openai", "anthropic", "ollama", "responses"};
constexpr std::array kOfKind{api::Endpoint::kChat, api::Endpoint::kMessages, api::Endpoint::kOllamaChat};
constexpr std::size_t kMostSteps = 200'000;  // of the loop, for one input
constexpr seconds kPatience{5};

struct Input {
  std::size_t client = 0;
  std::array<std::size_t, 2> kinds{};
  bool stream = true;
  std::array<std::string, 2> says;
};

Input read_input(std::string_view text) {
  Input input;
  std::string_view line = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(line.size() + 1, text.size()));
  std::array<std::string_view, 4> words;
  for (std::string_view& word : words) {
    word = line.substr(0, line.find(' '));
    line.remove_prefix(std::min(word.size() + 1, line.size()));
  }
  const auto place = [](std::string_view word, std::size_t end) {
    for (std::size_t i = 0; i < kWords.size(); ++i) {
      if (word == kWords[i]) return i % end;
    }
    return word.empty() ? 0 : static_cast<unsigned char>(word.front()) % end;
  };
  input.client = place(words[0], kClients.size());
  input.kinds = {place(words[1], kKinds.size()), place(words[2], kKinds.size())};
  input.stream = words[3] != "whole";
  constexpr std::string_view kNext = "--next--\n";
  const std::size_t next = text.find(kNext);
  input.says[0] = text.substr(0, next);
  if (next != std::string_view::npos) input.says[1] = text.substr(next + kNext.size());
  return input;
}

// Answers each request with the same, in pieces, and closes.
class Upstream {
 public:
  explicit Upstream(asio::io_context& loop) : acceptor_(loop, {asio::ip::make_address("127.0.0.1"), 0}) { accept(); }
  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  std::string says;
  std::string_view type;

 private:
  struct Peer : std::enable_shared_from_this<Peer> {
    Peer(Socket given, Upstream& given_owner) : socket(std::move(given)), owner(given_owner) {}
    void read() {
      socket.async_read_some(asio::buffer(block), [self = shared_from_this()](const ErrorStatus& ec, std::size_t size) {
        if (ec) return;
        self->got.append(self->block.data(), size);
        self->look();
      });
    }
    void look() {
      const std::size_t head = got.find("\r\n\r\n");
      const std::size_t field = got.find("Content-Length: ");
      if (head == std::string::npos || field == std::string::npos) return read();
      std::size_t length = 0;
      std::from_chars(got.data() + field + 16, got.data() + got.size(), length);
      if (got.size() < head + 4 + length) return read();
      answer =
          "HTTP/1.1 200 OK\r\nContent-Type: " + std::string(owner.type) + "\r\nConnection: close\r\n\r\n" + owner.says;
      asio::async_write(socket, asio::buffer(answer), [self = shared_from_this()](const ErrorStatus&, std::size_t) {
        ErrorStatus ignored;
        self->socket.shutdown(Socket::shutdown_send, ignored);
        self->socket.close(ignored);
      });
    }
    Socket socket;
    Upstream& owner;
    std::array<char, 4096> block{};
    std::string got;
    std::string answer;
  };
  void accept() {
    acceptor_.async_accept([this](const ErrorStatus& ec, Socket socket) {
      if (ec) return;
      std::make_shared<Peer>(std::move(socket), *this)->read();
      accept();
    });
  }
  Acceptor acceptor_;
};

class Handler : public http::Handler {
 public:
  explicit Handler(attempt::Context context) : context_(context) {}
  Task<> handle(http::ServerConnection& connection, const http::Request& request) override {
    attempt::Exchange exchange(context_, table, config, connection, request, *format);
    co_await exchange.run();
    ++ended;
  }
  std::string render_failure(int, std::string_view) override { return "{}"; }
  std::shared_ptr<const route::RouteTable> table;
  std::shared_ptr<const config::Config> config;
  const api::Format* format = nullptr;
  std::size_t ended = 0;

 private:
  attempt::Context context_;
};

class House {
 public:
  House() {
    log::set_level(log::Level::kOff);
    handler_.config = config_;
    port_ = *server_.listen({asio::ip::make_address("127.0.0.1"), 0});
    server_.start();
    for (std::size_t a = 0; a < kKinds.size(); ++a) {
      for (std::size_t b = 0; b < kKinds.size(); ++b) tables_[{a, b}] = make_table(a, b);
    }
  }

  // The whole answer, header and body.
  std::string ask(const Input& input) {
    for (std::size_t i = 0; i < 2; ++i) {
      upstreams_[i].says = input.says[i];
      upstreams_[i].type = kKinds[input.kinds[i]] == Dialect::kOllama ? "application/x-ndjson" : "text/event-stream";
    }
    handler_.format = &api::format_of(kClients[input.client]);
    handler_.table = tables_.at({input.kinds[0], input.kinds[1]});
    pool_.clear();
    const std::string stream = input.stream ? "true" : "false";
    const std::string body =
        kClients[input.client] == api::Endpoint::kResponses
            ? R"({"model":"m","input":"hi","store":false,"stream":)" + stream + "}"
            : R"({"model":"m","max_tokens":900,"messages":[{"role":"user","content":"hi"}],"stream":)" + stream + "}";
    Socket socket(loop_);
    socket.connect({asio::ip::make_address("127.0.0.1"), port_});
    const std::string request =
        "POST /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + std::to_string(body.size()) +
        "\r\n\r\n" + body;
    asio::write(socket, asio::buffer(request));
    std::string got;
    std::array<char, 16384> block{};
    bool ended = false;
    std::function<void()> read = [&] {
      socket.async_read_some(asio::buffer(block), [&](const ErrorStatus& ec, std::size_t size) {
        got.append(block.data(), size);
        ended = static_cast<bool>(ec);
        if (!ec) read();
      });
    };
    read();
    const std::size_t before = handler_.ended;
    const TimePoint until = now() + kPatience;
    std::size_t steps = 0;
    while (!ended || handler_.ended == before || server_.open_connections() > 0) {
      loop_.restart();
      loop_.run_one_for(milliseconds(20));
      require(++steps < kMostSteps && now() < until);  // it hangs, or spins
    }
    ErrorStatus ignored;
    socket.close(ignored);
    loop_.restart();
    while (loop_.poll() > 0) loop_.restart();
    return got;
  }

 private:
  std::shared_ptr<const route::RouteTable> make_table(std::size_t a, std::size_t b) {
    config::Config config = *config_;
    route::RouteTable::Backends backends;
    config::Route route;
    route.retries = 0;
    for (std::size_t i = 0; i < 2; ++i) {
      config::Backend backend;
      backend.name = std::string(i == 0 ? "a" : "b") + std::to_string(a) + std::to_string(b);
      backend.kind = kKinds[i == 0 ? a : b];
      backend.base_url = "http://127.0.0.1:" + std::to_string(upstreams_[i].port());
      backend.aggregate = "on";
      config.backends.push_back(backend);
      backends[backend.name] = *backend::Backend::make(backend, metrics_);
      route.targets.push_back({backend.name, "", 1});
    }
    config.routes.push_back(route);
    return std::make_shared<const route::RouteTable>(config, backends, metrics_);
  }
  static std::shared_ptr<const config::Config> make_config() {
    auto config = std::make_shared<config::Config>();
    config->breaker.on = false;
    config->defaults.first_token = milliseconds(500);
    config->defaults.idle = milliseconds(500);
    config->limits.max_event = 256u << 10;
    config->limits.max_response = 1u << 20;
    return config;
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  http::Resolver resolver_{loop_, timers_};
  http::ClientPool pool_{loop_, timers_, http::ParserLimits{}};
  record::Metrics all_metrics_;
  record::ThreadMetrics& metrics_ = all_metrics_.add_thread();
  std::unique_ptr<record::AccessLog> log_ = record::AccessLog::open({}).value();
  record::AccessLogBuffer buffer_{timers_, *log_};
  std::array<Upstream, 2> upstreams_{Upstream(loop_), Upstream(loop_)};
  std::shared_ptr<const config::Config> config_ = make_config();
  Handler handler_{attempt::Context{timers_, pool_, resolver_, metrics_, buffer_}};
  http::Server server_{loop_, timers_, handler_, std::make_shared<const http::ServerLimits>(),
                       std::make_shared<http::ServerLoad>()};
  std::uint16_t port_ = 0;
  std::map<std::pair<std::size_t, std::size_t>, std::shared_ptr<const route::RouteTable>> tables_;
};

struct Answer {
  int status = 0;
  std::string body;
};

Answer read_answer(std::string_view got) {
  require(got.starts_with("HTTP/1.1 "));
  Answer answer;
  std::from_chars(got.data() + 9, got.data() + 12, answer.status);
  const std::size_t head = got.find("\r\n\r\n");
  require(head != std::string_view::npos);
  const bool chunked = got.substr(0, head).find("Transfer-Encoding: chunked") != std::string_view::npos;
  std::string_view rest = got.substr(head + 4);
  if (!chunked) {
    answer.body = rest;
    return answer;
  }
  for (;;) {
    std::size_t size = 0;
    const std::size_t line = rest.find("\r\n");
    require(line != std::string_view::npos);
    const std::string_view digits = rest.substr(0, line);
    std::from_chars(digits.data(), digits.data() + digits.size(), size, 16);
    rest.remove_prefix(line + 2);
    require(rest.size() >= size + 2);
    answer.body += rest.substr(0, size);
    rest.remove_prefix(size + 2);
    if (size == 0) return answer;
  }
}

// A stream as it is read by whom it is for.
struct Read {
  std::string text;
  bool finished = false;  // by a finish, or the mark that ends it
  bool failed = false;    // by an error
  bool sure = true;       // it holds nothing that is read in more than one way
};

Read read_stream(const api::Format& format, std::string_view bytes, bool ours) {
  Read read;
  attempt::EventScanner scanner(format.framing());
  const auto reader = format.reader();
  api::StreamFacts facts;
  api::Parts parts;
  std::string scratch;
  read.sure = !bytes.starts_with("\xEF\xBB\xBF");
  while (const std::size_t length = scanner.next(bytes)) {
    const http::SseEvent event = scanner.parse(bytes.substr(0, length), scratch);
    bytes.remove_prefix(length);
    if (!event.has_data || event.data.empty()) continue;
    if (ours) require(!read.failed);  // nothing comes behind an error
    const api::Chunk chunk = reader->read(event.type, event.data, facts, &parts);
    using Kind = api::Chunk::Kind;
    if (chunk.kind == Kind::kDone) read.finished = true;
    if (chunk.kind == Kind::kError) read.failed = true;
    if (chunk.kind == Kind::kSeveral) read.sure = false;
    if (chunk.kind == Kind::kGarbage && ours) require(false);
    if (!ours && (chunk.kind == Kind::kGarbage || chunk.kind == Kind::kError)) break;
    if (!ours && (chunk.kind == Kind::kDone)) break;
  }
  if (ours) require(bytes.empty());
  read.finished |= facts.finished();
  for (const api::Part& part : parts) {
    if (part.kind == api::PartKind::kText) read.text += part.text;
  }
  read.text = json::unescaped(read.text);
  return read;
}

bool begins_alike(std::string_view a, std::string_view b) { return a.starts_with(b) || b.starts_with(a); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static House house;
  const Input input = read_input(fuzz::view(data, size));
  const Answer answer = read_answer(house.ask(input));
  require(bugs() == 0);
  const api::Endpoint endpoint = kClients[input.client];
  const api::Format& format = api::format_of(endpoint);
  api::JsonTree tree;
  if (answer.status != 200 || !input.stream) {
    require(tree.parse(answer.body));
    if (answer.status != 200 || endpoint == api::Endpoint::kResponses) return 0;
    api::Parts parts;
    require(format.read_answer(answer.body, &parts).kind == api::Answer::Kind::kGood);
    return 0;
  }
  const std::array said{read_stream(api::format_of(kOfKind[input.kinds[0]]), input.says[0], false),
                        read_stream(api::format_of(kOfKind[input.kinds[1]]), input.says[1], false)};
  if (endpoint == api::Endpoint::kResponses) return 0;
  const Read got = read_stream(format, answer.body, true);
  require(got.finished != got.failed || (got.finished && got.failed && false));
  if (!said[0].sure || !said[1].sure) return 0;
  require(begins_alike(got.text, said[0].text) || begins_alike(got.text, said[1].text));
  if (got.finished) require(said[0].finished || said[1].finished);
  return 0;
}
