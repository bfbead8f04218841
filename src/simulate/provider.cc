#include "simulate/provider.h"

#include <array>
#include <charconv>
#include <chrono>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/event.h"
#include "base/spawn.h"
#include "http/parser.h"

namespace spillway::simulate {

namespace {

using Json = nlohmann::json;

constexpr http::ParserLimits kLimits{64u << 10, 64u << 20, 256};
constexpr milliseconds kAcceptPause{50};  // after accept() failed for want of descriptors
constexpr seconds kDrainTime{5};          // for the rest of a body that was answered early

std::string dump(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json to_json(const Provider::Record& record) {
  return {{"number", record.number}, {"path", record.path},   {"authorization", record.authorization},
          {"body", record.body},     {"fault", record.fault}, {"form", record.form},
          {"status", record.status}, {"end", record.end},     {"tokens", record.tokens}};
}

constexpr std::string_view kFaultModel = "fault:";  // in front of a fault's name, as the name of a model

// The fault of that name, at the place of `chosen`; `chosen` where there is none.
Strike named(std::string_view fault, const Strike& chosen) {
  Strike out = chosen;
  if (const std::size_t place = fault.find('@'); place != std::string_view::npos) {
    const std::string_view share = fault.substr(place + 1);
    double at = 0;
    const auto parsed = std::from_chars(share.data(), share.data() + share.size(), at);
    if (parsed.ec == std::errc() && at >= 0 && at <= 1) out.at = at;
    fault = fault.substr(0, place);
  }
  if (find_fault(fault) == nullptr) return out;
  out.fault = find_fault(fault);
  out.kind = fault;
  return out;
}

std::string shown(std::string_view authorization) {
  const std::size_t word = authorization.find(' ');
  if (authorization.empty() || word == std::string_view::npos) return std::string(authorization.empty() ? "" : "***");
  return std::string(authorization.substr(0, word)) + " (" + std::to_string(authorization.size() - word - 1) +
         " bytes)";
}

}  // namespace

class Provider::Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Provider& provider, http::Socket socket)
      : provider_(provider),
        stream_(std::make_shared<http::Stream>(std::move(socket))),
        parser_(kLimits),
        timer_(provider.timers_, [this] { wake_.notify(); }) {
    provider_.connections_.insert(this);
  }
  ~Connection() { provider_.connections_.erase(this); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  Task<> run() {
    const auto self = shared_from_this();
    stream_->prepare();
    while (co_await serve_one()) {
      if (stream_->reading()) {
        // The next request cannot be moved to the front below a read.
        stream_->cancel();
        co_await stream_->wait_read();
      }
      stream_->input().drop_front(parser_.consumed());
      parser_.reset();
    }
    stream_->close();
  }

  void stop() {
    stream_->close();
    leave();
  }

 private:
  // False: the connection is at its end.
  Task<bool> serve_one() {
    complete_ = false;
    told_to_go_on_ = false;
    if (!co_await read([this] { return parser_.head_done(); })) co_return false;
    Chooser::Choice choice;
    Record record;
    const bool has_body = parser_.content_length() > 0 || !complete_;
    if (has_body) {
      record.number = provider_.next_number_++;
      choice = provider_.chooser_.choose(record.number, now() - provider_.began_at_);
      if (choice.strike.fault != nullptr && choice.strike.fault->early) co_return co_await refuse_early(record, choice);
    }
    if (!co_await read([this] { return complete_; })) co_return false;
    stream_->input().prepare(http::Stream::kMinRoom);  // the request's views hold from here on
    http::Request request;
    parser_.read(stream_->input(), request);
    if (request.method == http::Method::kGet) co_return co_await send(own_page(request.path)) && request.keep_alive;
    if (!has_body || request.method != http::Method::kPost || !request.path.ends_with("/chat/completions"))
      co_return co_await send(response(404, error_body("there is no such endpoint", "invalid_request_error"))) &&
          request.keep_alive;
    const bool keep_alive = request.keep_alive;
    co_return co_await answer(request, record, choice) && keep_alive;
  }

  // Until `enough`; false: the other side left, or sends no HTTP.
  template <class Enough>
  Task<bool> read(Enough enough) {
    for (;;) {
      if (enough()) co_return true;
      if (stream_->input().end() > parser_.consumed() || parser_.head_done()) {
        const http::ParseStatus status = parser_.feed(stream_->input());
        complete_ = status == http::ParseStatus::kComplete;
        if (status == http::ParseStatus::kError) {
          co_await send(
              response(parser_.failure().status, error_body(parser_.failure().what, "invalid_request_error")));
          co_return false;
        }
      }
      if (enough()) co_return true;
      if (parser_.head_done() && parser_.expects_continue() && parser_.body_end() == parser_.body_begin() &&
          !std::exchange(told_to_go_on_, true) && !co_await send("HTTP/1.1 100 Continue\r\n\r\n"))
        co_return false;
      stream_->start_read();
      if (co_await stream_->wait_read()) co_return false;
    }
  }

  Task<bool> answer(const http::Request& request, Record& record, const Chooser::Choice& choice) {
    record.path = request.path;
    const std::string_view authorization = request.headers.get("authorization");
    record.authorization = shown(authorization);
    record.body = request.body.substr(0, kKeptBody);
    record.fault = choice.strike.kind;
    const std::string& key = provider_.profile_.api_key;
    Plan plan;
    auto read = read_question(request.body, provider_.profile_);
    if (!key.empty() && authorization != "Bearer " + key) {
      plan.push_back({Step::Kind::kSend, response(401, error_body("the key is wrong", "authentication_error"))});
    } else if (const auto* refusal = std::get_if<Refusal>(&read)) {
      plan.push_back(
          {Step::Kind::kSend, response(refusal->status, error_body(refusal->message, "invalid_request_error"))});
    } else {
      const Question& question = std::get<Question>(read);
      const long long created = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
      const Answer made = make_answer(question, provider_.profile_, record.number, created);
      record.form = question.form;
      provider_.stats_.prompt_tokens += made.prompt_tokens;
      Strike strike = choice.strike;
      if (question.model.starts_with(kFaultModel)) strike = named(question.model.substr(kFaultModel.size()), strike);
      record.fault = strike.kind;
      plan = make_plan(question, made, choice.timing, strike);
    }
    co_return co_await carry_out(std::move(plan), record);
  }

  Task<bool> refuse_early(Record& record, const Chooser::Choice& choice) {
    record.fault = choice.strike.kind;
    const Question nothing;
    co_await carry_out(make_plan(nothing, {}, choice.timing, choice.strike), record);
    // What still comes is dropped for a while: closing with unread bytes would send a reset, which overtakes the
    // answer.
    stream_->on_read({});
    stream_->shutdown_send();
    const TimePoint until = now() + kDrainTime;
    LoopTimers::Entry late(provider_.timers_, [this] { stream_->cancel(); });
    late.arm(until);
    for (;;) {
      if (!stream_->reading()) stream_->input().truncate(0);
      stream_->start_read();
      if (co_await stream_->wait_read()) break;
    }
    co_return false;
  }

  // While it waits a read is pending, which sees the client leave.
  Task<bool> carry_out(Plan plan, Record& record) {
    left_ = false;
    provider_.began(record);
    stream_->on_read([this] {
      if (!stream_->read_status() && stream_->start_read_in_place()) return;
      leave();
    });
    stream_->start_read_in_place();
    due_ = now();
    bool goes_on = true;
    bool broken = false;
    for (const Step& step : plan) {
      switch (step.kind) {
        case Step::Kind::kSend:
          if (record.status == 0 && step.bytes.starts_with("HTTP/1.1 "))
            record.status = std::stoi(step.bytes.substr(9));
          goes_on = co_await send(step.bytes);
          if (goes_on) record.tokens += step.tokens;
          break;
        case Step::Kind::kPause:
          due_ += step.time;
          goes_on = co_await wait_until(due_);
          break;
        case Step::Kind::kRepeat:
          while (goes_on) {
            due_ = now() + step.time;
            goes_on = co_await send(step.bytes) && co_await wait_until(due_);
          }
          break;
        case Step::Kind::kSilence: goes_on = co_await wait_until(TimePoint::max()); break;
        case Step::Kind::kReset:
          broken = true;
          stream_->reset();
          break;
        case Step::Kind::kClose:
          broken = true;
          stream_->close();
          break;
      }
      if (!goes_on || broken) break;
    }
    stream_->on_read({});
    record.end = !goes_on ? "client_left" : broken || !record.fault.empty() ? "broken" : "answered";
    provider_.ended(record);
    co_return goes_on && !broken;
  }

  // False: the client left, or the provider stops.
  Task<bool> wait_until(TimePoint until) {
    if (until != TimePoint::max()) timer_.arm(until);
    while (!left_ && now() < until) co_await wake_.wait();
    timer_.disarm();
    co_return !left_;
  }

  Task<bool> send(const std::string& bytes) {
    if (left_) co_return false;
    std::array<asio::const_buffer, 1> buffers{asio::buffer(bytes)};
    co_return !co_await stream_->write(buffers);
  }

  void leave() {
    left_ = true;
    wake_.notify();
  }

  [[nodiscard]] std::string own_page(std::string_view path) const {
    if (path.ends_with("/models")) {
      return response(
          200,
          dump(
              {{"object", "list"},
               {"data",
                {{{"id", provider_.profile_.model}, {"object", "model"}, {"created", 0}, {"owned_by", "spillway"}}}}}));
    }
    if (path == "/simulate/stats") return response(200, provider_.stats_json());
    if (path == "/simulate/requests") return response(200, provider_.requests_json());
    return response(404, error_body("there is no such page", "invalid_request_error"));
  }

  Provider& provider_;
  std::shared_ptr<http::Stream> stream_;
  http::RequestParser parser_;
  LoopTimers::Entry timer_;
  Event wake_;
  TimePoint due_{};
  bool complete_ = false;
  bool told_to_go_on_ = false;
  bool left_ = false;
};

Provider::Provider(asio::io_context& loop, Profile profile)
    : loop_(loop), timers_(loop), profile_(std::move(profile)), chooser_(profile_), began_at_(now()), acceptor_(loop) {}

Provider::~Provider() = default;

Result<std::uint16_t> Provider::listen(const config::Address& address) {
  ErrorStatus ec;
  const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(address.host, ec), address.port);
  const auto failed = [&] {
    return Error{ErrorCode::kUnavailable, "cannot listen on " + address.to_string() + ": " + ec.message(),
                 "port 0 picks one that is free"};
  };
  if (!ec) acceptor_.open(endpoint.protocol(), ec);
  if (!ec) acceptor_.set_option(asio::socket_base::reuse_address(true), ec);
  if (!ec) acceptor_.bind(endpoint, ec);
  if (!ec) acceptor_.listen(4096, ec);
  if (ec) return failed();
  return acceptor_.local_endpoint(ec).port();
}

void Provider::start() { spawn(loop_, "accepting connections", accept()); }

Task<> Provider::accept() {
  asio::basic_waitable_timer<Clock, asio::wait_traits<Clock>, Executor> pause(loop_);
  while (acceptor_.is_open()) {
    auto [ec, socket] = co_await acceptor_.async_accept(kAwait);
    if (!ec) {
      const auto connection = std::make_shared<Connection>(*this, std::move(socket));
      spawn(loop_, "a connection", connection->run());
    } else if (ec != asio::error::operation_aborted && ec != asio::error::connection_aborted) {
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAwait);
    }
  }
}

void Provider::stop() {
  ErrorStatus ignored;
  acceptor_.close(ignored);
  std::vector<std::shared_ptr<Connection>> all;  // each leaves the list as it ends
  all.reserve(connections_.size());
  for (Connection* const connection : connections_) all.push_back(connection->shared_from_this());
  for (const auto& connection : all) connection->stop();
}

void Provider::began(const Record& record) {
  ++stats_.requests;
  records_.push_back(record);
  if (records_.size() > kKept) records_.pop_front();
}

void Provider::ended(const Record& record) {
  stats_.completion_tokens += record.tokens;
  ++(record.end == "answered" ? stats_.answered : record.end == "broken" ? stats_.broken : stats_.clients_left);
  for (Record& kept : records_) {
    if (kept.number == record.number) kept = record;
  }
  if (on_end_) on_end_(record);
}

std::string Provider::stats_json() const {
  return dump({{"requests", stats_.requests},
               {"answered", stats_.answered},
               {"broken", stats_.broken},
               {"clients_left", stats_.clients_left},
               {"prompt_tokens", stats_.prompt_tokens},
               {"completion_tokens", stats_.completion_tokens},
               {"time_of_day", chooser_.time_of_day(now() - began_at_)}});
}

std::string Provider::requests_json() const {
  Json out = Json::array();
  for (const Record& record : records_) out.push_back(to_json(record));
  return dump({{"requests", std::move(out)}});
}

}  // namespace spillway::simulate
