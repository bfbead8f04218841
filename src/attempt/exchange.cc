#include "attempt/exchange.h"

#include <algorithm>
#include <charconv>
#include <chrono>

#include "api/anthropic/count_format.h"
#include "attempt/forward.h"
#include "attempt/upstream_leg.h"
#include "base/bug.h"
#include "base/ids.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/text.h"

namespace spillway::attempt {

namespace {

constexpr double kBytesPerToken = 4;  // of JSON around a prompt, roughly
constexpr double kUsualAnswer = 500;  // tokens, where none are asked for
constexpr double kLongAnswer = 1e6;   // tokens; no model says more, whatever is asked for

AttemptLoop::Asked asked(const api::ChatRequest& chat, const config::Route& route, std::string_view body,
                         admit::Priority priority) {
  AttemptLoop::Asked out;
  if (chat.n != 1) out.why_not_resumed = "n is not 1";
  if (chat.logprobs) out.why_not_resumed = "logprobs were asked for";
  out.priority = priority;
  out.repeatable = !chat.stored;
  out.input_tokens = static_cast<double>(body.size()) / kBytesPerToken;
  out.max_tokens = chat.max_tokens;
  out.output_tokens = chat.max_tokens >= 0 ? std::min(static_cast<double>(chat.max_tokens), kLongAnswer) : kUsualAnswer;
  out.from_scratch = chat.constrained;
  out.model = chat.model;
  out.calls_whole = !chat.stream || route.tool_calls == "whole";
  return out;
}

// The messages, as they stand in the body.
std::string_view input_of(const api::ChatRequest& chat, std::string_view body) {
  const std::size_t end = std::min(std::max(chat.messages_end, chat.prompt_end), body.size());
  return end > chat.input_begin ? body.substr(chat.input_begin, end - chat.input_begin) : std::string_view();
}

std::string in_seconds(Duration duration) {
  std::string out;
  json::append_number(out, to_ms(duration) / 1e3, 1);
  return out + " s";
}

}  // namespace

Exchange::Exchange(const Context& context, std::shared_ptr<const route::RouteTable> table,
                   std::shared_ptr<const config::Config> config, http::ServerConnection& connection,
                   const http::Request& request, const api::Format& format, std::function<Generation()> newest)
    : context_(context),
      table_(std::move(table)),
      config_(std::move(config)),
      connection_(connection),
      client_(connection.response()),
      request_(request),
      format_(format),
      delivery_(std::make_unique<WholeDelivery>(reply())),
      newest_(std::move(newest)),
      pause_timer_(context.timers, [this] { loop_->wake(); }),
      began_at_(now()) {
  const std::string_view own = request.headers.get("x-request-id");
  request_id_ = is_usable_id(own) ? std::string(own) : new_request_id();
}

Reply Exchange::reply() {
  return {client_, format_, [this] { add_own_headers(); }, [this] { return writer_settings(); },
          config_->limits.max_response};
}

api::WriterSettings Exchange::writer_settings() const {
  api::WriterSettings settings;
  settings.include_usage = chat_.include_usage || !chat_.stream;
  settings.created = std::chrono::duration_cast<seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  settings.id = request_id_;
  settings.model = chat_.model;
  settings.base64 = chat_.base64;
  settings.request_body = request_.body;
  settings.elapsed_ns = [began_at = began_at_] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now() - began_at).count();
  };
  return settings;
}

Task<> Exchange::run() {
  connection_.on_client_gone([this] {
    if (loop_) loop_->abort();
  });
  std::string why;
  try {
    co_await answer();
  } catch (...) {
    why = text_of(std::current_exception());
  }
  pause_timer_.disarm();
  if (!why.empty()) co_await end_by_fault(why);
  write_record();
}

// An answer and a record there are always.
Task<> Exchange::end_by_fault(std::string why) {
  bug("an Exchange ended by an exception: " + why);
  connection_.on_client_gone({});  // what it would end is gone
  try {
    co_await fail({500, "internal_error", "a fault of Spillway itself, which its log tells; request " + request_id_});
  } catch (...) {
    bug("an Exchange could not be answered: " + text_of(std::current_exception()));
    client_.spoil();
  }
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
  auto decoded = format_.decode(request_.body);
  if (auto* error = std::get_if<api::ApiError>(&decoded)) {
    co_await fail(std::move(*error));
    co_return;
  }
  chat_ = std::move(std::get<api::ChatRequest>(decoded));
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
  if (request_.headers.has("x-spillway-priority")) {
    const std::string_view word = request_.headers.get("x-spillway-priority");
    const auto priority = admit::parse_priority(word);
    if (!priority) {
      co_await fail(api::invalid_request("the field x-spillway-priority has to be critical, high, normal or batch"));
      co_return;
    }
    priority_ = *priority;
  }
  if (format_.endpoint() == api::Endpoint::kCountTokens &&
      std::ranges::none_of(route_->targets, [](const route::Target& target) {
        return target.backend->settings().kind == Dialect::kAnthropic;
      })) {
    const std::string body =
        R"({"input_tokens":)" + std::to_string(api::anthropic::estimate_tokens(request_.body)) + "}";
    add_own_headers();
    client_.add_header("x-spillway-estimated", "true");
    co_await client_.send(200, "application/json", body);
    co_return;
  }
  if (chat_.empty) {
    const std::string body = format_.nothing(writer_settings());
    add_own_headers();
    co_await client_.send(200, "application/json", body);
    co_return;
  }
  if (chat_.stream) {
    delivery_ = std::make_unique<StreamDelivery>(reply(), context_.timers, began_at_);
  }
  co_await attempt(*deadline);
}

Task<AttemptLoop::End> Exchange::try_targets(Deadline deadline) {
  RequestBodies& bodies = bodies_.emplace(format_, request_.body, chat_);
  AttemptLoop::Asked asks = asked(chat_, route_->settings, request_.body, priority_);
  const route::Beginning beginning(input_of(chat_, request_.body));
  asks.beginning = &beginning;
  const Ask ask{request_, chat_, bodies, deadline, config_->limits, request_id_, beginning, priority_};
  loop_.emplace(
      *route_, deadline, *delivery_, std::move(asks),
      [this, &ask](const route::Target& target, const api::Resumption* resumption) {
        return std::make_unique<UpstreamLeg>(context_, target, ask, resumption);
      },
      [] { return now(); }, [this](TimePoint at) { pause_timer_.arm(at); });
  loop_->on_attempt_end([this](backend::Backend& backend, const Tried& tried) { on_attempt_end(backend, tried); });
  if (connection_.client_gone()) loop_->abort();
  co_return co_await loop_->run();
}

// The Targets of now, after a reload. False: nobody knows them, or they are those that were asked already.
bool Exchange::take_up_newest() {
  constexpr std::size_t kMost = 16;  // reloads in the time of one request
  if (!newest_ || former_.size() == kMost) return false;
  Generation next = newest_();
  if (next.table == table_) return false;
  const route::Route* const route = next.table->match(chat_.model, request_.headers.get("x-spillway-workload"));
  if (route == nullptr) return false;
  std::ranges::copy(loop_->tried(), std::back_inserter(earlier_));
  former_.push_back(std::exchange(table_, std::move(next.table)));
  config_ = std::move(next.config);
  route_ = route;
  return true;
}

Task<> Exchange::attempt(Deadline deadline) {
  AttemptLoop::End end = co_await try_targets(deadline);
  while (end == AttemptLoop::End::kReplaced && take_up_newest()) end = co_await try_targets(deadline);
  const std::string count = std::to_string(loop_->tried().size());
  using End = AttemptLoop::End;
  switch (end) {
    case End::kAnswered: break;
    case End::kRefused:
      if (client_.streaming()) error_code_ = "invalid_request";
      break;
    case End::kClientGone: context_.metrics.clients_gone.add(); break;
    case End::kDeadline: {
      std::string message = "the deadline passed after " + count + " Attempt(s)";
      if (loop_->last() != nullptr && loop_->last()->outcome.deadline)
        message += ", the last at " + loop_->last()->backend->name();
      co_await fail({504, "deadline_exceeded", std::move(message)});
      break;
    }
    case End::kBroken: {
      const Tried& last = *loop_->last();
      route_->series->broken_streams.add();
      api::ApiError error{502, "stream_broken",
                          "the answer was cut in the middle: " + last.backend->name() + ": " +
                              std::string(to_word(last.outcome.cls)) + " (" + last.outcome.detail + "); ask again"};
      error.why_not_resumed = loop_->why_not_resumed();
      co_await fail(std::move(error));
      break;
    }
    case End::kReplaced:
    case End::kAllFailed: co_await fail(all_failed()); break;
  }
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
  backend.condition().note_failure({std::string(to_word(outcome.cls)), outcome.status, now()});
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

void Exchange::tell_change(const backend::Backend& backend, const backend::Breaker::Change& change) {
  using Kind = backend::Breaker::Change::Kind;
  const std::string name = "backend " + backend.name();
  switch (change.kind) {
    case Kind::kNone: break;
    case Kind::kFails:
      log::warn(name + " is spared: " + std::to_string(change.failures) + " of its last " +
                std::to_string(change.attempts) + " Attempts failed; others are asked first, and it is probed");
      break;
    case Kind::kSlow:
      log::warn(name + " is spared: its first token takes " + std::to_string(change.first_token.count()) + " ms, " +
                std::to_string(change.calm.count()) + " ms in calm times; others are asked first, and it is probed");
      break;
    case Kind::kBack: log::info(name + " is mended: it gets all of its requests again"); break;
  }
}

void Exchange::on_attempt_end(backend::Backend& backend, const Tried& tried) {
  backend.series().attempts[static_cast<std::size_t>(tried.outcome.cls)].add();
  backend.series().events.add(tried.record.events);
  if (tried.outcome.cls == OutcomeClass::kAnswered) backend.series().bytes.add(client_.body_bytes());
  events_ += tried.record.events;
  if (tried.record.first_token_ms >= 0)
    first_token_ms_ = to_ms(now() - began_at_) - tried.record.total_ms + tried.record.first_token_ms;
  if (tried.resumed) backend.series().resumes.add();
  if (tried.hedge) backend.series().hedges.add();
  tell_condition(backend, tried.outcome);
  tell_change(backend, tried.change);
}

api::ApiError Exchange::all_failed() {
  const std::vector<Tried>& attempts = loop_->tried();
  const auto all = [&attempts](auto holds) { return !attempts.empty() && std::ranges::all_of(attempts, holds); };
  std::string list;
  std::optional<milliseconds> wait;  // the least that any of them asked for
  for (const Tried& tried : attempts) {
    const Outcome& outcome = tried.outcome;
    if (!list.empty()) list += "; ";
    list += tried.backend->name() + ": " + std::string(to_word(outcome.cls));
    if (outcome.status != 0) list += " " + std::to_string(outcome.status);
    if (!outcome.detail.empty()) list += " (" + outcome.detail + ")";
    if (outcome.refusal.retry_after) wait = std::min(wait.value_or(milliseconds::max()), *outcome.refusal.retry_after);
  }
  if (all([](const Tried& one) { return one.outcome.cls == OutcomeClass::kUnsupported; })) {
    const RequestBody body = bodies_->for_target(route_->targets.front());
    if (body.refusal != nullptr) return *body.refusal;
  }
  if (all([](const Tried& one) { return one.outcome.cls == OutcomeClass::kShed; })) {
    api::ApiError error{503, "queue_full", "more is asked here than the Targets can answer in time: " + list};
    error.retry_after = std::chrono::ceil<seconds>(wait.value_or(seconds(1)));
    return error;
  }
  api::ApiError error{502, "all_targets_failed",
                      "no Target answered, in " + std::to_string(attempts.size()) + " Attempt(s): " + list};
  if (all([](const Tried& one) { return one.outcome.status == 429; })) error.status = 429;
  if (all([](const Tried& one) { return one.outcome.cls == OutcomeClass::kNoModel; })) {
    error.status = 404;
    error.code = "model_not_found";
  }
  // SDKs repeat a 502, and nobody's waiting mends these (x-should-retry: openai-python, _base_client.py).
  const auto never_heals = [](const Tried& one) {
    return one.outcome.cls == OutcomeClass::kConfig || one.outcome.cls == OutcomeClass::kQuota ||
           one.outcome.cls == OutcomeClass::kNoModel;
  };
  if (!client_.begun() && all(never_heals)) client_.add_header("x-should-retry", "false");
  if (wait) error.retry_after = std::chrono::ceil<seconds>(*wait);
  if (all([&](const Tried& one) { return one.backend == attempts.front().backend; }))
    add_refusal(attempts.back(), error);
  return error;
}

// The only Target's own words and fields: SDKs tell "slow down" from "no money left" by them.
void Exchange::add_refusal(const Tried& tried, api::ApiError& error) {
  const Refusal& refusal = tried.outcome.refusal;
  if (error.status == 429 && !refusal.code.empty()) error.code = refusal.code;
  if (error.status == 429 && !refusal.type.empty()) error.type = refusal.type;
  if (client_.begun()) return;
  client_.add_rendered(refusal.rate_fields);
  if (!tried.record.upstream_request_id.empty())
    client_.add_header("x-spillway-upstream-request-id", tried.record.upstream_request_id);
}

Task<> Exchange::fail(api::ApiError error) {
  error_code_ = error.code;
  co_await delivery_->fail(error);
}

void Exchange::add_own_headers() {
  client_.add_header("x-request-id", request_id_);
  if (loop_ && loop_->answered_by() != nullptr)
    client_.add_header("x-spillway-backend", loop_->answered_by()->settings().public_name());
  char digits[16];
  const auto end =
      std::to_chars(digits, digits + sizeof digits, earlier_.size() + (loop_ ? loop_->tried().size() : 0)).ptr;
  client_.add_header("x-spillway-attempts", {digits, static_cast<std::size_t>(end - digits)});
  if (!loop_ || loop_->answered_by() == nullptr) return;
  std::string dropped;
  for (const std::string& name : bodies_->dropped_at(*loop_->answered_by()))
    dropped.append(dropped.empty() ? "" : ", ").append(name);
  if (!dropped.empty()) client_.add_header("x-spillway-dropped", dropped);
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
  if (loop_ && loop_->answered_by() != nullptr) line.backend = loop_->answered_by()->name();
  line.error = connection_.client_gone() ? std::string_view("client_gone") : error_code_;
  line.status = status;
  line.stream = chat_.stream;
  line.first_token_ms = first_token_ms_;
  line.total_ms = to_ms(total);
  line.bytes_in = request_.body.size();
  line.bytes_out = client_.body_bytes();
  line.events = events_;
  if (loop_) {
    line.attempts.reserve(earlier_.size() + loop_->tried().size());
    const auto add = [&line](const Tried& tried) {
      line.attempts.push_back({tried.backend->name(), to_word(tried.outcome.cls), tried.outcome.status,
                               tried.record.queued_ms, tried.record.connect_ms, tried.record.first_token_ms,
                               tried.record.total_ms, tried.record.events, tried.record.repeated, tried.resumed,
                               tried.hedge, tried.record.upstream_request_id});
    };
    std::ranges::for_each(earlier_, add);
    std::ranges::for_each(loop_->tried(), add);
  }
  context_.access_log.write(line);
}

}  // namespace spillway::attempt
