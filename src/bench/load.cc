#include "bench/load.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <random>

#include "attempt/stream_reader.h"
#include "base/foreign_json.h"
#include "base/spawn.h"

namespace spillway::bench {

namespace {

constexpr std::uint64_t kMostEvent = 1u << 20;    // bytes
constexpr std::size_t kMostErrorBody = 4u << 10;  // bytes that are looked at
constexpr seconds kConnectTime{10};

http::ParserLimits parser_limits() {
  http::ParserLimits limits;
  limits.max_body = 64u << 20;
  return limits;
}

std::string message_of(std::string_view body) {
  return json::text_at(nlohmann::json::parse(body, nullptr, false), {"error", "message"});
}

std::string class_of(int status) {
  const attempt::OutcomeClass cls = attempt::class_of_status(status);
  return std::string(attempt::to_word(cls));
}

}  // namespace

Load::Load(asio::io_context& loop, LoadPlan plan, std::function<void(const Sample&)> on_sample)
    : loop_(loop),
      plan_(std::move(plan)),
      on_sample_(std::move(on_sample)),
      timers_(loop),
      resolver_(loop, timers_),
      pool_(loop, timers_, parser_limits()) {
  origin_.url = *http::parse_url(plan_.url);
  origin_.key = plan_.url;
  path_ = origin_.url.path + "/chat/completions";
}

Load::~Load() = default;

std::string Load::body_of(const LoadPlan& plan, std::uint64_t number) {
  return nlohmann::json{{"model", plan.model},
                        {"stream", true},
                        {"max_tokens", plan.tokens},
                        {"messages",
                         {{{"role", "system"}, {"content", "You are a helpful assistant of a bank's customers."}},
                          {{"role", "user"},
                           {"content", "Question " + std::to_string(number) +
                                           ": which transfers of last month were not carried out, and why?"}}}}}
      .dump();
}

Task<> Load::run() {
  std::mt19937_64 engine(plan_.seed);
  std::exponential_distribution<> gap(plan_.per_second);
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> timer(loop_);
  began_at_ = now();
  TimePoint due = began_at_;
  ++under_way_;
  for (std::uint64_t number = 0; number < plan_.requests; ++number) {
    due += std::chrono::duration_cast<Duration>(std::chrono::duration<double>(gap(engine)));
    if (due > now()) {
      timer.expires_at(due);
      co_await timer.async_wait(kAwait);
    }
    ++under_way_;
    spawn(loop_, "a request of a load", ask(number, due));
  }
  if (--under_way_ > 0) co_await done_.wait();
  pool_.clear();
}

Task<> Load::ask(std::uint64_t number, TimePoint due) {
  Sample sample = co_await answer_to(number, due);
  sample.number = number;
  sample.at_s = to_ms(due - began_at_) / 1e3;
  sample.total_ms = to_ms(now() - due);
  sample.answered = sample.cls == "answered";
  on_sample_(sample);
  if (--under_way_ == 0) done_.notify();
}

Task<Sample> Load::answer_to(std::uint64_t number, TimePoint due) {
  Sample out;
  std::shared_ptr<http::ClientConnection> connection = pool_.take(origin_);
  if (connection == nullptr) {
    connection = pool_.make();
    const auto opened = co_await connection->open(origin_, resolver_, now() + kConnectTime);
    if (opened != http::ClientStatus::kOk) {
      out.cls = "connect";
      out.detail = connection->failure();
      co_return out;
    }
  }
  const std::string body = body_of(plan_, number);
  const std::string head = "POST " + path_ + " HTTP/1.1\r\nHost: " + origin_.url.authority() +
                           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) +
                           "\r\n\r\n";
  std::array<asio::const_buffer, 2> buffers{asio::buffer(head), asio::buffer(body)};
  const TimePoint until = now() + plan_.patience;
  http::ClientStatus status = co_await connection->send(buffers, until);
  while (status == http::ClientStatus::kOk && !connection->head_done()) status = co_await connection->receive(until);
  if (!connection->head_done()) {
    out.cls = status == http::ClientStatus::kTimeout ? "timeout" : "cut";
    out.detail = connection->failure();
    co_return out;
  }
  out.status = connection->status();
  http::Headers headers;
  connection->read_headers(headers);
  out.request_id = headers.get("x-request-id");
  out.backend = headers.get("x-spillway-backend");
  if (out.status != 200) {
    while (status == http::ClientStatus::kOk && connection->body().size() < kMostErrorBody)
      status = co_await connection->receive(until);
    out.cls = class_of(out.status);
    out.detail = message_of(connection->body());
    pool_.give_back(std::move(connection));
    co_return out;
  }
  attempt::StreamReader reader(api::format_of(api::Endpoint::kChat), *connection,
                               {until, plan_.patience, Deadline::never(), kMostEvent, attempt::Pace(0), {}}, status);
  attempt::Outcome outcome = co_await reader.open();
  if (outcome.cls == attempt::OutcomeClass::kAnswered) {
    out.first_token_ms = to_ms(reader.first_token_at() - due);
    for (;;) {
      const attempt::Pull pull = co_await reader.next();
      if (pull.end == nullptr) continue;
      outcome = *pull.end;
      break;
    }
  }
  out.tokens = reader.facts().tokens;
  out.cls = attempt::to_word(outcome.cls);
  out.detail = outcome.detail;
  // A gateway's own end of a stream that it could not save is an error event.
  while (outcome.cls == attempt::OutcomeClass::kAnswered && !connection->complete()) {
    connection->consume_body(connection->body().size());
    if (co_await connection->receive(now() + seconds(2)) != http::ClientStatus::kOk) break;
  }
  pool_.give_back(std::move(connection));
  co_return out;
}

}  // namespace spillway::bench
