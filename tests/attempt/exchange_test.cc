#include "attempt/exchange.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "http/loopback.h"

namespace spillway::attempt {
namespace {

using spillway::testing::Peer;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr std::string_view kChunk =
    R"({"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":"Hel"},"finish_reason":null}]})";
constexpr std::string_view kAnswer =
    R"({"id":"c","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}]})";

std::string whole(int status, std::string_view body, std::string_view fields = "") {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\n" + std::string(fields) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}
std::string stream_begin() {
  const std::string event = "data: " + std::string(kChunk) + "\n\n";
  std::ostringstream out;
  out << "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
      << std::hex << event.size() << "\r\n"
      << event << "\r\n";
  return out.str();
}

// Exchanges on a real server connection, with a RouteTable of its own for each, as Endpoints make them.
class ExchangeHandler : public http::Handler {
 public:
  explicit ExchangeHandler(Context context) : context_(context) {}
  Task<> handle(http::ServerConnection& connection, const http::Request& request) override {
    ++begun;
    Exchange exchange(context_, table, config, connection, request, *format);
    co_await exchange.run();
    ++ended;
  }
  std::string render_failure(int, std::string_view) override { return "{}"; }

  std::shared_ptr<const route::RouteTable> table;
  std::shared_ptr<const config::Config> config;
  const api::Format* format = &api::format_of(api::Endpoint::kChat);
  int begun = 0;
  int ended = 0;

 private:
  Context context_;
};

class ExchangeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = record::AccessLog::open({log_file_.string(), 64u << 20, 4});
    ASSERT_TRUE(opened.ok());
    log_ = std::move(*opened);
    buffer_ = std::make_unique<record::AccessLogBuffer>(timers_, *log_);
    handler_ = std::make_unique<ExchangeHandler>(Context{timers_, pool_, resolver_, metrics_, *buffer_});
    server_ = std::make_unique<http::Server>(loop_, timers_, *handler_, std::make_shared<const http::ServerLimits>(),
                                             std::make_shared<http::ServerLoad>());
    port_ = *server_->listen({asio::ip::make_address("127.0.0.1"), 0});
    server_->start();
    adopt(timeouts_);
  }
  void TearDown() override {
    server_->close();
    EXPECT_TRUE(run_until([&] { return server_->open_connections() == 0; }));
    std::filesystem::remove(log_file_);
  }

  // Two Backends, "a" and "b", each an upstream that the test plays.
  void adopt(config::Timeouts timeouts) {
    auto config = std::make_shared<config::Config>();
    config->defaults = timeouts;
    config::Route route;
    route.retries = 0;
    route::RouteTable::Backends backends;
    for (const auto& [name, upstream] : {std::pair("a", &a_), std::pair("b", &b_)}) {
      config::Backend backend;
      backend.name = name;
      backend.base_url = "http://127.0.0.1:" + std::to_string(upstream->port());
      config->backends.push_back(backend);
      backends[name] = *backend::Backend::make(backend, metrics_);
      route.targets.push_back({name, "", 1});
    }
    config->routes.push_back(route);
    handler_->table = std::make_shared<const route::RouteTable>(*config, backends, metrics_);
    handler_->config = config;
  }

  std::shared_ptr<Peer> ask(bool stream, const std::string& fields = "") {
    const std::string body = std::string(R"({"model":"m","messages":[],"stream":)") + (stream ? "true" : "false") + "}";
    auto client = Peer::connect(loop_, port_);
    client->send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n" + fields +
                 "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client;
  }
  // The upstream's connection, as soon as the request is there.
  Peer& asked(spillway::testing::Upstream& upstream, std::size_t count = 1) {
    EXPECT_TRUE(run_until([&] {
      return upstream.peers.size() >= count && upstream.peers[count - 1]->text.find('}') != std::string::npos;
    }));
    return *upstream.peers.at(count - 1);
  }
  bool comes(const std::shared_ptr<Peer>& client, const std::string& text) {
    return run_until([&] { return client->text.find(text) != std::string::npos; });
  }
  // The record of all Exchanges so far.
  std::string records() {
    buffer_.reset();
    log_.reset();
    std::ostringstream out;
    out << std::ifstream(log_file_).rdbuf();
    return out.str();
  }
  std::uint64_t in_flight(std::string_view backend) { return metrics_.backend(backend).in_flight.value(); }
  template <class Condition>
  bool run_until(Condition condition) {
    return spillway::testing::run_until(loop_, condition);
  }

  asio::io_context loop_{1};
  LoopTimers timers_{loop_};
  http::Resolver resolver_{loop_, timers_};
  http::ClientPool pool_{loop_, timers_, http::ParserLimits{}};
  record::Metrics all_metrics_;
  record::ThreadMetrics& metrics_ = all_metrics_.add_thread();
  std::filesystem::path log_file_ =
      std::filesystem::temp_directory_path() / ("exchange_" + std::to_string(::getpid()) + ".jsonl");
  std::unique_ptr<record::AccessLog> log_;
  std::unique_ptr<record::AccessLogBuffer> buffer_;
  spillway::testing::Upstream a_{loop_};
  spillway::testing::Upstream b_{loop_};
  config::Timeouts timeouts_;
  std::unique_ptr<ExchangeHandler> handler_;
  std::unique_ptr<http::Server> server_;
  std::uint16_t port_ = 0;
};

// As the chat format, but for a fault of its own at one place.
class Faulty final : public api::Format {
 public:
  enum class Where { kDecode, kRead, kWrite };
  explicit Faulty(Where where) : Format(api::Endpoint::kMessages, api::Framing::kSse), where_(where) {}
  [[nodiscard]] std::variant<api::ChatRequest, api::ApiError> decode(std::string_view body,
                                                                     bool trusted) const override {
    if (where_ == Where::kDecode) throw std::runtime_error("in decode");
    return real_.decode(body, trusted);
  }
  [[nodiscard]] api::Refusal read_request(api::JsonTree::Value body, api::Conversation& into) const override {
    if (where_ == Where::kRead) throw std::runtime_error("in read_request");
    return real_.read_request(body, into);
  }
  [[nodiscard]] std::unique_ptr<api::StreamWriter> writer(api::WriterSettings settings) const override {
    if (where_ == Where::kWrite) throw std::runtime_error("in writer");
    return real_.writer(std::move(settings));
  }
  [[nodiscard]] std::unique_ptr<api::AnswerRules> rules() const override { return real_.rules(); }

 private:
  const api::Format& real_ = api::format_of(api::Endpoint::kChat);
  Where where_;
};

TEST_F(ExchangeTest, an_exception_is_an_internal_error_with_an_answer_and_a_record) {
  for (const Faulty::Where where : {Faulty::Where::kDecode, Faulty::Where::kRead}) {
    const Faulty faulty(where);
    handler_->format = &faulty;
    const int before = handler_->ended;
    const auto client = ask(true);
    ASSERT_TRUE(comes(client, "a fault of Spillway itself")) << client->text;
    EXPECT_THAT(client->text, HasSubstr("HTTP/1.1 500"));
    EXPECT_TRUE(run_until([&] { return handler_->ended == before + 1; }));
  }
  // After the beginning of the answer its status cannot be taken back: the connection ends.
  const Faulty faulty(Faulty::Where::kWrite);
  handler_->format = &faulty;
  const int before = handler_->ended;
  const auto client = ask(true);
  asked(a_).send(stream_begin());
  EXPECT_TRUE(run_until([&] { return handler_->ended == before + 1; }));
  const std::string lines = records();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 3);
  EXPECT_THAT(lines, HasSubstr(R"("error":"internal_error")"));
}

TEST_F(ExchangeTest, the_first_target_answers_and_is_told) {
  const auto client = ask(false);
  asked(a_).send(whole(200, kAnswer));
  ASSERT_TRUE(comes(client, "Hello"));
  EXPECT_THAT(client->text, HasSubstr("x-spillway-backend: a\r\n"));
  EXPECT_THAT(client->text, HasSubstr("x-spillway-attempts: 1\r\n"));
  EXPECT_TRUE(b_.peers.empty());
  EXPECT_TRUE(run_until([&] { return handler_->ended == 1; }));
  EXPECT_THAT(records(), HasSubstr(R"("attempts":[{"backend":"a","class":"answered","status":200)"));
}

TEST_F(ExchangeTest, what_the_first_fails_at_the_second_is_asked) {
  const auto client = ask(true);
  asked(a_).send(whole(503, "{}"));
  Peer& second = asked(b_);
  EXPECT_THAT(client->text, Not(HasSubstr("HTTP/1.1")));
  second.send(stream_begin());
  ASSERT_TRUE(comes(client, "Hel"));
  EXPECT_THAT(client->text, HasSubstr("x-spillway-backend: b\r\n"));
  EXPECT_THAT(client->text, HasSubstr("x-spillway-attempts: 2\r\n"));
}

TEST_F(ExchangeTest, a_client_that_leaves_ends_what_was_started_for_it) {
  for (const bool stream : {false, true}) {
    const std::size_t count = a_.peers.size() + 1;
    const auto client = ask(stream);
    Peer& upstream = asked(a_, count);
    EXPECT_EQ(in_flight("a"), 1u);
    client->close();
    ASSERT_TRUE(run_until([&] { return upstream.ended.has_value() && handler_->ended == handler_->begun; }));
    EXPECT_EQ(in_flight("a"), 0u);
  }
  EXPECT_TRUE(b_.peers.empty());
  EXPECT_EQ(metrics_.clients_gone.value(), 2u);
  EXPECT_THAT(records(), HasSubstr(R"("error":"client_gone")"));
}

TEST_F(ExchangeTest, a_client_that_leaves_in_the_middle_of_a_stream_ends_it) {
  const auto client = ask(true);
  Peer& upstream = asked(a_);
  upstream.send(stream_begin());
  ASSERT_TRUE(comes(client, "Hel"));
  client->close();
  ASSERT_TRUE(run_until([&] { return upstream.ended.has_value() && handler_->ended == 1; }));
  EXPECT_EQ(in_flight("a"), 0u);
}

TEST_F(ExchangeTest, a_client_that_leaves_between_two_attempts_has_no_second_one) {
  const auto client = ask(false);
  Peer& upstream = asked(a_);
  client->close();
  upstream.send(whole(503, "{}"));
  ASSERT_TRUE(run_until([&] { return handler_->ended == 1; }));
  spillway::testing::settle(loop_);
  EXPECT_TRUE(b_.peers.empty());
}

TEST_F(ExchangeTest, the_deadline_ends_it_and_the_attempt_under_way) {
  const auto client = ask(false, "x-spillway-deadline-ms: 40\r\n");
  Peer& upstream = asked(a_);
  ASSERT_TRUE(comes(client, "deadline_exceeded"));
  EXPECT_THAT(client->text, HasSubstr("HTTP/1.1 504 "));
  ASSERT_TRUE(run_until([&] { return upstream.ended.has_value(); }));
  EXPECT_TRUE(b_.peers.empty());
}

TEST_F(ExchangeTest, a_stream_that_breaks_is_continued_by_the_next_target) {
  const auto client = ask(true);
  asked(a_).send(stream_begin());
  ASSERT_TRUE(comes(client, "Hel"));
  a_.peers.back()->reset();
  Peer& second = asked(b_);
  EXPECT_THAT(client->text, Not(HasSubstr("stream_broken")));
  std::string whole = stream_begin();  // "Hel" once more, and what follows it
  second.send(whole);
  const std::string rest = R"(data: {"id":"d","choices":[{"index":0,"delta":{"content":"lo"},"finish_reason":"stop"}]})"
                           "\n\ndata: [DONE]\n\n";
  std::ostringstream chunk;
  chunk << std::hex << rest.size() << "\r\n" << rest << "\r\n0\r\n\r\n";
  second.send(chunk.str());
  ASSERT_TRUE(comes(client, "[DONE]"));
  EXPECT_THAT(client->text, HasSubstr(R"(: spillway {"event":"resume","backend":"b","at_chars":3,"reason":"cut"})"));
  EXPECT_THAT(client->text, HasSubstr(R"("content":"lo")"));
  EXPECT_EQ(client->text.find("Hel"), client->text.rfind("Hel"));
}

TEST_F(ExchangeTest, a_stream_that_nobody_can_go_on_with_is_told_in_it) {
  const auto client = ask(true);
  Peer& upstream = asked(a_);
  upstream.send(stream_begin());
  ASSERT_TRUE(comes(client, "Hel"));
  upstream.reset();
  asked(b_).send(whole(503, "{}"));
  ASSERT_TRUE(comes(client, "stream_broken"));
  EXPECT_THAT(client->text, Not(HasSubstr("[DONE]")));
  ASSERT_TRUE(run_until([&] { return handler_->ended == 1; }));
  EXPECT_THAT(records(), HasSubstr(R"("class":"cut")"));
}

TEST_F(ExchangeTest, a_reload_in_the_middle_changes_nothing_for_it) {
  const auto client = ask(false);
  Peer& first = asked(a_);
  adopt(timeouts_);  // other Backends of the same names; the old ones live as long as the Exchange
  first.send(whole(503, "{}"));
  asked(b_).send(whole(200, kAnswer));
  ASSERT_TRUE(comes(client, "Hello"));
}

TEST_F(ExchangeTest, the_end_of_the_server_ends_all_of_them) {
  std::vector<std::shared_ptr<Peer>> clients;
  for (std::size_t i = 1; i <= 8; ++i) {
    clients.push_back(ask(i % 2 == 0));
    asked(a_, i);
  }
  asked(a_, 2).send(stream_begin());
  ASSERT_TRUE(comes(clients[1], "Hel"));
  server_->close();
  ASSERT_TRUE(run_until([&] { return handler_->ended == 8 && server_->open_connections() == 0; }));
  EXPECT_EQ(in_flight("a"), 0u);
}

TEST_F(ExchangeTest, when_no_target_answers_each_is_listed) {
  const auto client = ask(false);
  asked(a_).send(whole(503, R"({"error":{"message":"busy"}})", "Retry-After: 9\r\n"));
  asked(b_).send(whole(429, R"({"error":{"message":"slow"}})", "Retry-After: 4\r\n"));
  ASSERT_TRUE(comes(client, "all_targets_failed"));
  EXPECT_THAT(client->text, HasSubstr("HTTP/1.1 502 "));
  EXPECT_THAT(client->text, HasSubstr("Retry-After: 4\r\n"));
  EXPECT_THAT(client->text, HasSubstr("a: overload 503 (busy); b: rate_limited 429 (slow)"));
}

}  // namespace
}  // namespace spillway::attempt
