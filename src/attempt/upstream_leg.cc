#include "attempt/upstream_leg.h"

#include <boost/asio/post.hpp>

#include "attempt/error_class.h"
#include "attempt/forward.h"
#include "attempt/retry_after.h"
#include "http/content_coding.h"

namespace spillway::attempt {

namespace {

constexpr milliseconds kTurn{5};      // before a Backend is looked at again that was not there though its Gate was open
constexpr seconds kErrorBodyTime{2};  // to read what an upstream says of its failure
constexpr std::size_t kErrorBodyBytes = 64u << 10;  // of it
constexpr std::size_t kShownText = 200;             // bytes of a refusal that is plain text
constexpr milliseconds kTailTime{
    50};  // after the last event, for the framing's end, so that the connection can be kept

// A whole answer of at most so many tokens is waited for as long as they take at such a pace; a longer one is better
// streamed.
constexpr std::int64_t kShortAnswer = 256;
constexpr milliseconds kPerToken{200};

constexpr std::size_t kSniffed = 16;  // bytes of an answer that tell an event stream

bool is_stream(std::string_view content_type, api::Framing framing) {
  const std::string_view type = framing == api::Framing::kSse ? "text/event-stream" : "application/x-ndjson";
  return content_type.size() >= type.size() && equals_ignore_case(content_type.substr(0, type.size()), type);
}

bool begins_like_events(std::string_view body) {
  body = http::without_byte_order_mark(body);
  body.remove_prefix(std::min(body.find_first_not_of("\r\n"), body.size()));
  for (const std::string_view field : {":", "data:", "event:", "id:", "retry:"}) {
    if (body.starts_with(field)) return true;
  }
  return false;
}

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

bool begins_like_html(std::string_view body) {
  const std::size_t first = body.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && body[first] == '<';
}

asio::const_buffer buffer(std::string_view text) { return {text.data(), text.size()}; }

}  // namespace

UpstreamLeg::UpstreamLeg(const Context& context, const route::Target& target, const Ask& ask,
                         const api::Resumption* resumption)
    : context_(context),
      target_(target),
      ask_(ask),
      body_(ask.bodies.for_target(target)),
      resumption_(resumption),
      // An answer that has begun goes before those that have not.
      priority_(resumption != nullptr ? std::min(ask.priority, admit::Priority::kHigh) : ask.priority),
      asks_for_stream_(ask.chat.stream || aggregates()),
      began_at_(now()) {}

UpstreamLeg::~UpstreamLeg() {
  if (inside_) {
    target_.backend->series().in_flight.subtract();
    if (target_.load != nullptr) target_.load->end(first_token_ms_ < 0);
  }
  target_.backend->condition().gate().leave(ticket_, now());
  if (upstream_) context_.pool.give_back(std::move(upstream_));
}

void UpstreamLeg::abort() {
  aborted_ = true;
  // Either goes on with what waits, up to the end of this object: nothing may follow.
  if (upstream_) {
    upstream_->abort();
  } else if (turn_) {
    turn_->notify();
  }
}

Task<Outcome> UpstreamLeg::open() {
  if (body_.refusal != nullptr) co_return Outcome{OutcomeClass::kUnsupported, 0, body_.refusal->message};
  const bool has_turns = body_.request->messages_end > 0 || body_.request->prompt_end > 0;
  if (resumption_ != nullptr && resumption_->form != api::ResumeForm::kReplay && !has_turns)
    co_return Outcome{OutcomeClass::kClient, 0, "the request has no turns that an answer could be added to"};
  admit::Gate& gate = target_.backend->condition().gate();
  const Outcome replaced{OutcomeClass::kReplaced, 0, "a reload has replaced it"};
  for (bool first = true;; first = false) {
    if (!first) co_await pause(kTurn);
    if (aborted_) co_return Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
    if (target_.backend->replaced()) co_return replaced;
    if (!first && ask_.deadline.passed(now())) co_return late_for_turn();
    if (!gate.try_enter(ticket_, priority_, now())) {
      Outcome waited = co_await wait_for_turn();
      if (waited.cls != OutcomeClass::kAnswered) co_return waited;
    }
    if (target_.backend->ready()) break;
    if (target_.backend->replaced()) continue;
    // The Gate knows of a local engine a moment before this thread does: the message is on its way.
    co_await asio::post(co_await asio::this_coro::executor, asio::use_awaitable_t<Executor>{});
    if (!target_.backend->loading()) break;
    // It has made way for another Model meanwhile: back to those who wait for it.
    gate.leave(ticket_, now());
  }
  inside_ = true;
  target_.backend->series().in_flight.add();
  if (target_.load != nullptr) target_.load->begin(now());
  if (!target_.backend->ready()) co_return Outcome{OutcomeClass::kConnect, 0, "the engine is not running"};
  lease_ = target_.backend->lease();
  claim_slot();
  if (aborted_) co_return Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
  co_return co_await ask();
}

// Several choices or prompts take several slots, which the engine finds itself.
void UpstreamLeg::claim_slot() {
  const api::Endpoint endpoint = body_.format->endpoint();
  if (!target_.backend->is_local() || body_.request->n != 1) return;
  if (endpoint != api::Endpoint::kChat && endpoint != api::Endpoint::kCompletions) return;
  if (body_.request->messages_end == 0 && body_.request->prompt_end == 0) return;
  backend::SlotBook& slots = target_.backend->condition().slots();
  if (slots.knows()) slot_ = slots.claim(ask_.beginning.chain());
}

Outcome UpstreamLeg::late_for_turn() {
  Outcome late{OutcomeClass::kAbandoned, 0, "the deadline passed while it waited for its turn"};
  late.deadline = true;
  return late;
}

// abort() ends it.
Task<> UpstreamLeg::pause(milliseconds time) {
  turn_ = std::make_shared<Event>();
  LoopTimers::Entry timer(context_.timers, [turn = turn_] { turn->notify(); });
  timer.arm(now() + time);
  co_await turn_->wait();
}

// A kept connection that the other side closed just as it was used is not a failure of the Backend: the request goes
// once more, on a new one, in the time that is left of the first.
Task<Outcome> UpstreamLeg::ask() {
  bool stale = false;
  Outcome outcome = co_await ask_once(context_.pool.take(target_.backend->origin()), stale);
  if (!stale || aborted_ || now() >= first_token_by_) co_return outcome;
  repeated_ = true;
  outcome = co_await ask_once(nullptr, stale);
  co_return outcome;
}

// For room at the Backend, as its Gate has it: as long as the deadline is, and for an engine that loads as long as its
// start may take.
Task<Outcome> UpstreamLeg::wait_for_turn() {
  admit::Gate& gate = target_.backend->condition().gate();
  const TimePoint from = now();
  const Executor executor = co_await asio::this_coro::executor;
  turn_ = std::make_shared<Event>();
  // From any thread; and when this one may be gone.
  const auto wake = [executor, turn = turn_] { asio::post(executor, [turn] { turn->notify(); }); };
  gate.enter(ticket_, priority_, ask_.deadline.at(), wake, from);
  target_.backend->on_replaced(turn_);
  LoopTimers::Entry timer(context_.timers, [turn = turn_] { turn->notify(); });
  for (;;) {
    using State = admit::Ticket::State;
    const TimePoint again = gate.poll(now());
    const State state = gate.state_of(ticket_);
    if (state != State::kWaiting || aborted_) queued_ms_ = to_ms(now() - from);
    if (aborted_) co_return Outcome{OutcomeClass::kAbandoned, 0, "the client left"};
    if (target_.backend->replaced()) co_return Outcome{OutcomeClass::kReplaced, 0, "a reload has replaced it"};
    if (state == State::kInside) co_return Outcome{};
    if (state == State::kStopped) co_return Outcome{OutcomeClass::kConnect, 0, "the engine is not running"};
    if (state == State::kShed) {
      Outcome shed{OutcomeClass::kShed, 0, "too many requests wait for it already"};
      shed.refusal.retry_after = gate.retry_after(ticket_);
      co_return shed;
    }
    const bool loading = target_.backend->loading();
    const TimePoint until =
        loading ? ask_.deadline.capped(target_.backend->settings().start_timeout, from) : ask_.deadline.at();
    if (now() >= until) {
      queued_ms_ = to_ms(now() - from);
      if (ask_.deadline.passed(now())) co_return late_for_turn();
      co_return Outcome{OutcomeClass::kConnect, 0, "the engine was not ready in time"};
    }
    timer.arm(std::min(until, again));
    co_await turn_->wait();
  }
}

// Whether an answer that the client wants whole is streamed from this Backend.
bool UpstreamLeg::aggregates() const {
  if (body_.format == nullptr || api::row_of(body_.format->endpoint()).work != api::Work::kGenerate) return false;
  const std::string& wish = target_.backend->settings().aggregate;
  if (wish == "off" || ask_.chat.audio) return false;
  if (resumption_ != nullptr || wish == "on") return true;
  return (ask_.chat.max_tokens < 0 || ask_.chat.max_tokens > kShortAnswer) &&
         target_.backend->condition().streams(now());
}

TimePoint UpstreamLeg::answer_by() const {
  const config::Timeouts& limits = target_.timeouts;
  if (asks_for_stream_) return ask_.deadline.capped(limits.first_token, sent_at_);
  // A whole answer says nothing until it is there.
  const std::int64_t tokens = ask_.chat.max_tokens;
  const bool is_short = tokens >= 0 && tokens <= kShortAnswer;
  return ask_.deadline.capped(is_short ? limits.first_token + tokens * kPerToken : limits.answer, sent_at_);
}

Outcome UpstreamLeg::connection_failed(http::ClientStatus status) const {
  Outcome outcome{class_of_connection(status, upstream_->head_done()), 0, upstream_->failure()};
  if (upstream_->head_done()) outcome.status = upstream_->status();
  if (status == http::ClientStatus::kTimeout && ask_.deadline.passed(now())) {
    outcome = Outcome{OutcomeClass::kAbandoned, outcome.status, "the deadline passed"};
    outcome.deadline = true;
  }
  return outcome;
}

Task<Outcome> UpstreamLeg::ask_once(std::shared_ptr<http::ClientConnection> kept, bool& stale) {
  const bool reused = kept != nullptr;
  stale = false;
  upstream_ = std::move(kept);
  if (!reused) {
    upstream_ = context_.pool.make();
    const TimePoint from = now();
    TimePoint until = ask_.deadline.capped(target_.timeouts.connect, from);
    if (repeated_) until = std::min(until, first_token_by_);
    const http::ClientStatus opened = co_await upstream_->open(target_.backend->origin(), context_.resolver, until);
    if (opened != http::ClientStatus::kOk) {
      Outcome outcome = connection_failed(opened);
      if (opened == http::ClientStatus::kTimeout && !outcome.deadline) {
        outcome = Outcome{OutcomeClass::kConnect, 0, "not connected within connect_timeout"};
      }
      co_return outcome;
    }
    connect_ms_ = to_ms(now() - from);
  }

  const std::string_view body = body_.text;
  const api::ChatRequest& request = *body_.request;
  const std::string_view model = target_.model_for(ask_.chat.model);
  std::array<asio::const_buffer, 4> few{asio::const_buffer(), buffer(body)};  // nothing is allocated
  std::span<asio::const_buffer> buffers(few.data(), 2);
  std::vector<api::Edit> edits;
  std::vector<asio::const_buffer> many;
  if (resumption_ != nullptr) {
    edits = api::continuation_edits(request, *resumption_);
    append_thinking_off(edits);
  }
  if (body_.dropped == nullptr) api::append_call_id_edits(body, target_.backend->call_ids(), edits);
  if (asks_for_stream_ && !ask_.chat.stream) api::append_streaming_edits(request, edits);
  if (slot_.has_slot()) {
    edits.push_back(api::member_edit(body, request.object_end, "", "id_slot", std::to_string(slot_.slot())));
  }
  if (!edits.empty()) {
    if (!model.empty()) edits.push_back({request.model_begin, request.model_end, std::string(model)});
    many.emplace_back();
    for (const std::string_view piece : api::splice(body, edits)) many.push_back(buffer(piece));
    buffers = many;
  } else if (!model.empty()) {
    few = {asio::const_buffer(), buffer(body.substr(0, request.model_begin)), buffer(model),
           buffer(body.substr(request.model_end))};
    buffers = few;
  }
  const backend::Backend& backend = *target_.backend;
  const api::Endpoint endpoint = body_.format->endpoint();
  const std::string head =
      request_head(backend, resumption_ != nullptr ? backend.resume_head(endpoint) : backend.head(endpoint),
                   ask_.request.headers, asio::buffer_size(buffers), ask_.request_id, body_.dropped != nullptr);
  buffers.front() = buffer(head);

  if (!repeated_) {
    sent_at_ = now();
    first_token_by_ = answer_by();
  }
  http::ClientStatus status = co_await upstream_->send(buffers, first_token_by_);
  while (status == http::ClientStatus::kOk && !upstream_->head_done())
    status = co_await upstream_->receive(first_token_by_);
  if (!upstream_->head_done()) {
    stale = reused && status == http::ClientStatus::kClosed && !upstream_->anything_received();
    co_return connection_failed(status);
  }

  upstream_->read_headers(headers_);
  content_type_ = headers_.get("content-type");
  upstream_request_id_ = request_id_of(headers_);
  fields_.clear();
  append_response_fields(fields_, headers_, *target_.backend);
  if (const auto rest = used_up_for(headers_, std::chrono::system_clock::now()))
    target_.backend->condition().rest_until(now() + *rest);
  if (upstream_->status() != 200) co_return co_await read_refusal(status);
  const std::string_view coding = headers_.get("content-encoding");
  if (!coding.empty() && !equals_ignore_case(coding, "identity")) {
    co_return Outcome{OutcomeClass::kGarbage, 200, "a compressed answer, though none was asked for"};
  }
  if (asks_for_stream_) {
    bool events = is_stream(content_type_, body_.format->framing());
    if (!events && body_.format->framing() == api::Framing::kSse) {
      // Some servers call their stream application/json, or nothing at all: its first bytes tell.
      while (status == http::ClientStatus::kOk && upstream_->body().size() < kSniffed)
        status = co_await upstream_->receive(first_token_by_);
      events = begins_like_events(upstream_->body());
    }
    if (events) co_return co_await open_stream(status);
  }
  co_return co_await read_whole(status);
}

// The answer's text has begun: a model that thinks first would think again.
void UpstreamLeg::append_thinking_off(std::vector<api::Edit>& edits) const {
  if (resumption_->prefix.empty() || resumption_->form == api::ResumeForm::kReplay) return;
  const std::string_view model = target_.model_for(ask_.chat.model);
  const config::ThinkingSwitch* const off =
      target_.backend->thinking_switch(model.empty() ? std::string_view(ask_.chat.model) : model.substr(1));
  if (off == nullptr) return;
  edits.push_back(api::member_edit(body_.text, body_.request->object_end, off->object, off->name, off->value));
}

Task<Outcome> UpstreamLeg::open_stream(http::ClientStatus received) {
  reader_.emplace(
      *body_.format, *upstream_,
      StreamReader::Limits{first_token_by_, target_.timeouts.idle, ask_.deadline, ask_.limits.max_event,
                           Pace(target_.timeouts.min_tokens_per_second), target_.backend->settings().preset},
      received);
  Outcome outcome = co_await reader_->open();
  if (outcome.cls == OutcomeClass::kAnswered) first_token_came(reader_->first_token_at());
  co_return outcome;
}

Task<Outcome> UpstreamLeg::read_whole(http::ClientStatus received) {
  http::ClientStatus status = received;
  while (status == http::ClientStatus::kOk) status = co_await upstream_->receive(first_token_by_);
  if (status != http::ClientStatus::kComplete) co_return connection_failed(status);
  const std::string_view body = upstream_->body();
  const api::Answer answer = body_.format->read_answer(body, nullptr);
  using Kind = api::Answer::Kind;
  switch (answer.kind) {
    case Kind::kError:
      co_return Outcome{class_of_error(target_.backend->settings().preset, 200, answer.error), 200,
                        answer.error.message.empty() ? "an error object" : answer.error.message};
    case Kind::kEmpty: co_return Outcome{OutcomeClass::kEmpty, 200, "an answer without content"};
    case Kind::kGarbage:
      co_return Outcome{OutcomeClass::kGarbage, 200,
                        begins_like_html(body)             ? "an HTML page"
                        : body.starts_with(kByteOrderMark) ? "a byte order mark before the JSON"
                                                           : "no answer of the kind that was asked for"};
    case Kind::kGood: break;
  }
  if (ask_.chat.stream || resumption_ != nullptr)
    co_return Outcome{OutcomeClass::kGarbage, 200, "a whole answer where a stream was asked for"};
  if (asks_for_stream_) target_.backend->condition().streams_not(now());
  first_token_came(now());
  co_return Outcome{OutcomeClass::kAnswered, 200, {}};
}

void UpstreamLeg::first_token_came(TimePoint at) {
  if (first_token_ms_ < 0 && target_.load != nullptr) target_.load->first_token_came();
  first_token_ms_ = to_ms(at - sent_at_);
  slot_.answered();
  target_.backend->series().first_token.observe(at - sent_at_);
}

// No coroutine of its own where there is a stream: this is the path of a token.
Task<Pull> UpstreamLeg::next() {
  if (reader_) return reader_->next();
  whole_ = Outcome{OutcomeClass::kAnswered, upstream_->status(), {}};
  return [](Pull pull) -> Task<Pull> { co_return pull; }(Pull{upstream_->body(), &whole_});
}

Task<> UpstreamLeg::finish() {
  upstream_->consume_body(upstream_->body().size());
  if (!upstream_->complete()) co_await upstream_->receive(now() + kTailTime);
}

std::string_view UpstreamLeg::body() const { return own_body_.empty() ? upstream_->body() : own_body_; }

Leg::Record UpstreamLeg::record() const {
  return {queued_ms_, connect_ms_,         first_token_ms_, to_ms(now() - began_at_), reader_ ? reader_->events() : 0,
          repeated_,  upstream_request_id_};
}

Task<Outcome> UpstreamLeg::read_refusal(http::ClientStatus received) {
  const backend::Backend& backend = *target_.backend;
  const int status_code = upstream_->status();
  Outcome outcome{class_of_status(status_code), status_code, {}};
  outcome.refusal.retry_after = retry_delay(headers_, std::chrono::system_clock::now());
  outcome.refusal.rate_fields = rate_fields(headers_);
  const std::string location(headers_.get("location"));  // copies: what follows may move the header
  const std::string coding(headers_.get("content-encoding"));
  bool pass_through = outcome.cls == OutcomeClass::kClient;
  TimePoint until = ask_.deadline.capped(kErrorBodyTime, now());
  http::ClientStatus status = received;
  while (status == http::ClientStatus::kOk && (pass_through || upstream_->body().size() < kErrorBodyBytes)) {
    status = co_await upstream_->receive(until);
  }
  if (status == http::ClientStatus::kAborted) co_return connection_failed(status);
  if (pass_through && status != http::ClientStatus::kComplete) co_return connection_failed(status);
  std::optional<std::string> plain;  // without the compression that nobody asked for
  if (status == http::ClientStatus::kComplete && !coding.empty())
    plain = http::decode_content(coding, upstream_->body(), ask_.limits.max_response);
  const std::string_view body = plain ? std::string_view(*plain) : upstream_->body();
  if (status == http::ClientStatus::kComplete) {
    api::UpstreamError error = api::read_error(body);
    outcome.cls = class_of_error(backend.settings().preset, status_code, error);
    pass_through = outcome.cls == OutcomeClass::kClient || outcome.cls == OutcomeClass::kContext;
    // Where the Target has a name of its own for the model, the Config is at fault.
    if (outcome.cls == OutcomeClass::kNoModel && !target_.quoted_model.empty()) outcome.cls = OutcomeClass::kConfig;
    outcome.detail = std::move(error.message);
    outcome.refusal.code = backend.masked(error.code);
    outcome.refusal.type = backend.masked(error.type);
  }
  if (!pass_through) {
    if (status_code >= 300 && status_code < 400 && !location.empty()) {
      outcome.detail = "a redirect to " + location + "; name that address in base_url";
    }
    if (outcome.detail.empty()) outcome.detail = http::reason_phrase(status_code);
    co_return outcome;
  }
  // Byte for byte where it is JSON; a page of a proxy, or what cannot be read, is told in our own words.
  const bool readable = coding.empty() || plain.has_value();
  outcome.refusal.as_it_came = readable && body_.dropped == nullptr && api::is_json(body);
  if (!outcome.refusal.as_it_came && outcome.detail.empty()) {
    outcome.detail = !readable                ? "a refusal compressed as " + coding
                     : begins_like_html(body) ? std::string("an HTML page")
                     : body.empty()           ? std::string("a refusal without a word")
                                              : std::string(body.substr(0, kShownText));
  }
  if (backend.holds_secret(body)) {
    own_body_ = backend.masked(body);
  } else if (plain) {
    own_body_ = std::move(*plain);
  }
  co_return outcome;
}

}  // namespace spillway::attempt
