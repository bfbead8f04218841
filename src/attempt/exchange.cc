#include "attempt/exchange.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "attempt/forward.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/text.h"

namespace spillway::attempt {

namespace {

std::string in_band(const api::ApiError& error) {
  return "data: " + api::render_error(Dialect::kOpenAi, error) + "\n\n";
}

std::string in_seconds(Duration duration) {
  std::string out;
  json::append_number(out, to_ms(duration) / 1e3, 1);
  return out + " s";
}

}  // namespace

Exchange::Exchange(const Context& context, std::shared_ptr<const route::RouteTable> table,
                   std::shared_ptr<const config::Config> config, http::ServerConnection& connection,
                   const http::Request& request)
    : context_(context),
      table_(std::move(table)),
      config_(std::move(config)),
      connection_(connection),
      client_(connection.response()),
      request_(request),
      keep_alive_timer_(context.timers, [this] { keep_alive(); }),
      began_at_(now()) {
  const std::string_view own = request.headers.get("x-request-id");
  request_id_ = is_usable_id(own) ? std::string(own) : new_request_id();
}

Task<> Exchange::run() {
  connection_.on_client_gone([this] {
    if (current_ != nullptr) current_->abort();
  });
  co_await answer();
  keep_alive_timer_.disarm();
  write_record();
}

std::optional<Deadline> Exchange::deadline_of(const route::Route& route) const {
  if (!request_.headers.has("x-spillway-deadline-ms")) return Deadline::after(route.deadline, began_at_);
  const std::string_view asked = request_.headers.get("x-spillway-deadline-ms");
  std::int64_t number = 0;
  const auto parsed = std::from_chars(asked.data(), asked.data() + asked.size(), number);
  if (parsed.ec != std::errc() || parsed.ptr != asked.data() + asked.size() || number <= 0) return std::nullopt;
  // A request may shorten the Route's deadline, never lengthen it.
  const std::int64_t limit = std::min<std::int64_t>(route.deadline.count(), number);
  return Deadline::after(milliseconds(limit), began_at_);
}

Task<> Exchange::answer() {
  auto decoded = api::openai::decode_chat_request(request_.body);
  if (auto* error = std::get_if<api::ApiError>(&decoded)) {
    co_await fail(std::move(*error));
    co_return;
  }
  chat_ = std::move(std::get<api::openai::ChatRequest>(decoded));
  route_ = table_->match(chat_.model, request_.headers.get("x-spillway-workload"));
  if (route_ == nullptr) {
    co_await fail({404, "no_target",
                   "no Route serves the model \"" + chat_.model + "\"; GET /v1/models lists those that are", "model"});
    co_return;
  }
  const std::optional<Deadline> deadline = deadline_of(*route_);
  if (!deadline) {
    co_await fail(
        api::invalid_request("the field x-spillway-deadline-ms has to be a whole number of milliseconds, at least 1"));
    co_return;
  }
  if (chat_.stream) keep_alive_timer_.arm(began_at_ + kKeepAliveAfter);

  const Ask ask{request_, chat_, *deadline, config_->limits, request_id_};
  // In order; but a local engine that is still loading is asked after those that can answer now.
  std::vector<bool> asked(route_->targets.size());
  for (const bool also_loading : {false, true}) {
    for (std::size_t i = 0; i < asked.size(); ++i) {
      const route::Target& target = route_->targets[i];
      if (asked[i] || (target.backend->loading() && !also_loading)) continue;
      if (ask.deadline.passed(now())) {
        co_await fail(
            {504, "deadline_exceeded", "the deadline passed after " + std::to_string(tried_.size()) + " Attempt(s)"});
        co_return;
      }
      asked[i] = true;
      if (co_await try_target(target, ask)) co_return;
    }
  }
  co_await fail_all();
}

// One line in the log when a Backend begins to fail, and one when it answers again.
void Exchange::tell_condition(backend::Backend& backend, const Outcome& outcome) {
  using Kind = backend::Condition::Change::Kind;
  if (outcome.cls == OutcomeClass::kAnswered) {
    const auto change = backend.condition().answered(now());
    if (change.kind != Kind::kAnswersAgain) return;
    log::info("backend " + backend.name() + " answers again, after " + in_seconds(change.lasted) + " and " +
              std::to_string(change.failures) + " failure(s)");
    return;
  }
  const Blame at_fault = blame(outcome.cls);
  if (at_fault != Blame::kBackend && at_fault != Blame::kOperator) return;
  const auto change = backend.condition().failed(at_fault == Blame::kOperator, now());
  if (change.kind != Kind::kFails) return;
  std::string line = "backend " + backend.name() + " fails: " + std::string(to_word(outcome.cls));
  if (outcome.status != 0) {
    line += " " + std::to_string(outcome.status);  // what an upstream says may hold a part of a prompt
  } else if (!outcome.detail.empty()) {
    line += " (" + outcome.detail + ")";
  }
  line += ", " + std::to_string(change.failures) + " in a row since " + in_seconds(change.lasted) + " ago\n  mend: ";
  log::warn(line.append(mend_of(outcome)));
}

// True: the Exchange has ended.
Task<bool> Exchange::try_target(const route::Target& target, const Ask& ask) {
  tried_.emplace_back();
  tried_.back().backend = target.backend.get();
  Attempt attempt(context_, target, ask, client_, [this](std::string_view fields) {
    answered_by_ = tried_.back().backend;
    commit(fields);
  });
  current_ = &attempt;
  Outcome outcome =
      connection_.client_gone() ? Outcome{OutcomeClass::kAbandoned, 0, "the client left"} : co_await attempt.run();
  current_ = nullptr;

  backend::Backend& backend = *target.backend;
  backend.series().attempts[static_cast<std::size_t>(outcome.cls)].add();
  backend.series().events.add(attempt.events());
  tell_condition(backend, outcome);
  Tried& tried = tried_.back();
  tried.line = {backend.name(),           to_word(outcome.cls), outcome.status,     attempt.connect_ms(),
                attempt.first_token_ms(), attempt.total_ms(),   attempt.repeated(), {}};
  tried.upstream_request_id = attempt.upstream_request_id();
  tried.outcome = outcome;
  events_ += attempt.events();
  if (attempt.first_token_ms() >= 0)
    first_token_ms_ = to_ms(now() - began_at_) - attempt.total_ms() + attempt.first_token_ms();

  if (connection_.client_gone() || client_.failed()) {
    context_.metrics.clients_gone.add();
    co_return true;
  }
  if (outcome.cls == OutcomeClass::kAnswered) {
    backend.series().bytes.add(client_.body_bytes());
    co_return true;
  }
  if (outcome.deadline) {
    co_await fail(
        {504, "deadline_exceeded",
         "the deadline passed after " + std::to_string(tried_.size()) + " Attempt(s), the last at " + backend.name()});
    co_return true;
  }
  if (attempt.committed() && outcome.cls != OutcomeClass::kClient) {
    co_await fail({502, "stream_broken",
                   "the answer was cut in the middle: " + backend.name() + ": " + std::string(to_word(outcome.cls)) +
                       " (" + outcome.detail + "); ask again"});
    co_return true;
  }
  if (outcome.cls == OutcomeClass::kClient) {
    if (!client_.finished()) co_await fail({outcome.status, "invalid_request", backend.name() + ": " + outcome.detail});
    co_return true;
  }
  co_return false;
}

Task<> Exchange::fail_all() {
  const auto all = [this](auto holds) { return !tried_.empty() && std::ranges::all_of(tried_, holds); };
  const auto all_are = [&](OutcomeClass cls) {
    return all([cls](const Tried& one) { return one.outcome.cls == cls; });
  };
  std::string list;
  std::optional<milliseconds> wait;  // the least that any of them asked for
  for (const Tried& tried : tried_) {
    const Outcome& outcome = tried.outcome;
    if (!list.empty()) list += "; ";
    list += tried.backend->name() + ": " + std::string(to_word(outcome.cls));
    if (outcome.status != 0) list += " " + std::to_string(outcome.status);
    if (!outcome.detail.empty()) list += " (" + outcome.detail + ")";
    if (outcome.refusal.retry_after) wait = std::min(wait.value_or(milliseconds::max()), *outcome.refusal.retry_after);
  }
  if (all([](const Tried& one) { return one.outcome.cls == OutcomeClass::kOverload && one.outcome.status == 0; })) {
    api::ApiError error{503, "queue_full", "every Target is loading, and too many requests wait already: " + list};
    error.retry_after = seconds(5);
    co_await fail(std::move(error));
    co_return;
  }
  const bool all_rate_limited = all_are(OutcomeClass::kRateLimited);
  api::ApiError error{502, "all_targets_failed",
                      "none of " + std::to_string(tried_.size()) + " Target(s) answered: " + list};
  if (all_rate_limited) error.status = 429;
  if (all_are(OutcomeClass::kNoModel)) error.status = 404;
  // SDKs repeat a 502, and nobody's waiting mends these (x-should-retry: openai-python, _base_client.py).
  const auto never_heals = [](const Tried& one) {
    return one.outcome.cls == OutcomeClass::kConfig || one.outcome.cls == OutcomeClass::kNoModel;
  };
  if (!client_.begun() && all(never_heals)) client_.add_header("x-should-retry", "false");
  if (wait) error.retry_after = std::chrono::ceil<seconds>(*wait);
  if (tried_.size() == 1) add_refusal(tried_.front(), error);
  co_await fail(std::move(error));
}

// The only Target's own words and fields: SDKs tell "slow down" from "no money left" by them.
void Exchange::add_refusal(const Tried& tried, api::ApiError& error) {
  const Refusal& refusal = tried.outcome.refusal;
  if (error.status == 429 && !refusal.code.empty()) error.code = refusal.code;
  if (error.status == 429 && !refusal.type.empty()) error.type = refusal.type;
  if (client_.begun()) return;
  client_.add_rendered(refusal.rate_fields);
  if (!tried.upstream_request_id.empty())
    client_.add_header("x-spillway-upstream-request-id", tried.upstream_request_id);
}

Task<> Exchange::fail(api::ApiError error) {
  error_code_ = error.code;
  keep_alive_timer_.disarm();
  if (client_.begun()) {
    if (client_.finished() || client_.failed()) co_return;
    if (!client_.streaming()) {
      client_.spoil();
      co_return;
    }
    if (route_ != nullptr && error.code == "stream_broken") route_->series->broken_streams.add();
    const std::string event = in_band(error);
    if (co_await client_.write_chunk(event)) co_await client_.end_stream();
    co_return;
  }
  add_own_headers();
  if (error.retry_after) client_.add_header("Retry-After", std::to_string(error.retry_after->count()));
  const std::string body = api::render_error(Dialect::kOpenAi, error);
  co_await client_.send(error.status, "application/json", body);
}

void Exchange::add_own_headers() {
  client_.add_header("x-request-id", request_id_);
  if (answered_by_ != nullptr) client_.add_header("x-spillway-backend", answered_by_->name());
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, tried_.size()).ptr;
  client_.add_header("x-spillway-attempts", {digits, static_cast<std::size_t>(end - digits)});
}

void Exchange::commit(std::string_view upstream_fields) {
  keep_alive_timer_.disarm();
  if (client_.begun()) return;
  add_own_headers();
  client_.add_rendered(upstream_fields);
  if (chat_.stream) client_.begin_stream(200, "text/event-stream");
}

void Exchange::keep_alive() {
  if (!client_.begun()) {
    add_own_headers();
    client_.begin_stream(200, "text/event-stream");
  }
  client_.poke(": keep-alive\n\n");
  keep_alive_timer_.arm(now() + kKeepAliveAfter);
}

void Exchange::write_record() {
  const Duration total = now() - began_at_;
  const int status = client_.status();
  if (route_ != nullptr) {
    if (status >= 100 && status < 600) route_->series->requests[static_cast<std::size_t>(status / 100 - 1)].add();
    route_->series->duration.observe(total);
  } else {
    context_.metrics.refused_requests.add();
  }
  record::ExchangeLine line;
  line.request_id = request_id_;
  line.client = connection_.peer();
  line.method = "POST";
  line.path = request_.path;
  if (route_ != nullptr) line.route = route_->settings.model;
  line.model = chat_.model;
  if (answered_by_ != nullptr) line.backend = answered_by_->name();
  line.error = connection_.client_gone() ? std::string_view("client_gone") : error_code_;
  line.status = status;
  line.stream = chat_.stream;
  line.first_token_ms = first_token_ms_;
  line.total_ms = to_ms(total);
  line.bytes_in = request_.body.size();
  line.bytes_out = client_.body_bytes();
  line.events = events_;
  line.attempts.reserve(tried_.size());
  for (const Tried& tried : tried_) {
    line.attempts.push_back(tried.line);
    line.attempts.back().upstream_request_id = tried.upstream_request_id;
  }
  context_.access_log.write(line);
}

}  // namespace spillway::attempt
