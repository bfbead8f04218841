#include "simulate/faults.h"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <charconv>
#include <utility>

#include "base/json_text.h"
#include "http/message.h"

namespace spillway::simulate {

namespace {

constexpr std::size_t kBigEvent = 1u << 20;  // bytes
constexpr seconds kKeepAlive{1};             // between comments of a provider that does not get on
constexpr milliseconds kTrickle{1'000};      // between tokens

std::string chunk(std::string_view bytes) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, bytes.size(), 16).ptr;
  return std::string(digits, end).append("\r\n").append(bytes).append("\r\n");
}

constexpr std::string_view kLastChunk = "0\r\n\r\n";

std::string head(int status, std::string_view type, std::string_view fields) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(http::reason_phrase(status)) + "\r\n";
  out.append("Content-Type: ").append(type).append("\r\n").append(fields);
  return out + "\r\n";
}

std::string chunked_head(std::string_view type) { return head(200, type, "Transfer-Encoding: chunked\r\n"); }

std::string length_field(std::size_t length) { return "Content-Length: " + std::to_string(length) + "\r\n"; }

constexpr std::string_view kEvents = "text/event-stream";
constexpr std::string_view kJson = "application/json";

// RFC 1952, with one stored block after the other (RFC 1951, 3.2.4): nothing is saved, and it is gzip all the same.
std::string gzipped(std::string_view text) {
  const auto little_endian = [](std::uint32_t number, int bytes) {
    std::string out;
    for (int i = 0; i < bytes; ++i) out += static_cast<char>(number >> (8 * i));
    return out;
  };
  constexpr std::size_t kMostStored = 65'535;
  std::string out("\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff", 10);
  std::string_view rest = text;
  do {
    const std::string_view block = rest.substr(0, kMostStored);
    rest.remove_prefix(block.size());
    const auto length = static_cast<std::uint32_t>(block.size());
    out += rest.empty() ? '\x01' : '\x00';
    out.append(little_endian(length, 2)).append(little_endian(~length, 2)).append(block);
  } while (!rest.empty());
  boost::crc_32_type crc;
  crc.process_bytes(text.data(), text.size());
  return out.append(little_endian(crc.checksum(), 4)).append(little_endian(static_cast<std::uint32_t>(text.size()), 4));
}

std::string usage_of(const Answer& answer) {
  return "{\"prompt_tokens\":" + std::to_string(answer.prompt_tokens) +
         ",\"completion_tokens\":" + std::to_string(answer.completion_tokens()) +
         ",\"total_tokens\":" + std::to_string(answer.prompt_tokens + answer.completion_tokens()) + "}";
}

std::string json_text(std::string_view text) {
  std::string out;
  json::append_string(out, text);
  return out;
}

std::string joined(const std::vector<std::string>& pieces) {
  std::string out;
  for (const std::string& piece : pieces) out += piece;
  return out;
}

}  // namespace

std::string error_body(std::string_view message, std::string_view type, std::string_view code) {
  return "{\"error\":{\"message\":" + json_text(message) + ",\"type\":" + json_text(type) +
         ",\"code\":" + (code.empty() ? "null" : json_text(code)) + "}}";
}

std::string response(int status, std::string_view body, std::string_view fields) {
  return head(status, kJson, length_field(body.size()).append(fields)).append(body);
}

// An answer on its way to the wire.
class Draft {
 public:
  // One event of a stream.
  struct Part {
    enum class Kind { kRole, kReasoning, kText, kCall, kFinish, kUsage, kDone };
    Kind kind;
    std::string data;
    bool begins_call = false;
  };

  Draft(const Question& question, Answer answer, const Timing& timing, const Strike& strike)
      : question_(question), answer_(std::move(answer)), timing_(timing), strike_(strike) {
    make_parts();
  }

  [[nodiscard]] const Question& question() const { return question_; }
  [[nodiscard]] const Answer& answer() const { return answer_; }
  [[nodiscard]] const Strike& strike() const { return strike_; }
  Plan take() { return std::move(plan_); }

  // Another text in place of the answer's.
  void say_instead(const std::string& text) {
    answer_.text = tokenize(text);
    make_parts();
  }

  void send(std::string bytes, int tokens = 0) { plan_.push_back({Step::Kind::kSend, std::move(bytes), {}, tokens}); }
  void pause(milliseconds time) { plan_.push_back({Step::Kind::kPause, {}, time}); }
  void repeat(std::string bytes, milliseconds every) {
    plan_.push_back({Step::Kind::kRepeat, std::move(bytes), every});
  }
  void silence() { plan_.push_back({Step::Kind::kSilence, {}, {}}); }
  void reset() { plan_.push_back({Step::Kind::kReset, {}, {}}); }
  void close() { plan_.push_back({Step::Kind::kClose, {}, {}}); }

  // --- a stream

  void event(std::string_view data) { send(chunk("data: " + std::string(data) + "\n\n")); }
  void begin_stream() {
    send(chunked_head(kEvents));
    begun_ = true;
  }
  void end_stream() { send(std::string(kLastChunk)); }

  // The parts from the one that comes next up to `end`, at the pace; `frame` makes an event's bytes of one.
  template <class Frame>
  void say(std::size_t end, Frame frame, milliseconds gap) {
    if (!begun_) begin_stream();
    for (; next_ < std::min(end, parts_.size()); ++next_) {
      const Part& part = parts_[next_];
      const bool is_token =
          part.kind == Part::Kind::kReasoning || part.kind == Part::Kind::kText || part.kind == Part::Kind::kCall;
      if (is_token) wait_for_token(gap);
      send(chunk(frame(part)), is_token ? 1 : 0);
    }
  }
  void say(std::size_t end) { say(end, plain, gap()); }
  void say_all() {
    say(parts_.size());
    end_stream();
  }
  static std::string plain(const Part& part) { return "data: " + part.data + "\n\n"; }

  // Where in the text it strikes: at least one token has been said, and one is left.
  [[nodiscard]] std::size_t strike_in(Part::Kind kind) const {
    const auto is_it = [kind](const Part& part) { return part.kind == kind; };
    const auto first = std::ranges::find_if(parts_, is_it);
    const auto count = std::ranges::count_if(parts_, is_it);
    if (count == 0) return 1;  // behind the role
    const auto said = std::clamp<std::int64_t>(static_cast<std::int64_t>(strike_.at * static_cast<double>(count)), 1,
                                               std::max<std::int64_t>(count - 1, 1));
    return static_cast<std::size_t>(first - parts_.begin() + said);
  }
  void say_up_to_strike() { say(strike_in(Part::Kind::kText)); }

  [[nodiscard]] const std::vector<Part>& parts() const { return parts_; }
  [[nodiscard]] std::size_t next() const { return next_; }
  [[nodiscard]] milliseconds gap() const {
    if (timing_.tokens_per_second <= 0) return milliseconds(0);
    return milliseconds(static_cast<std::int64_t>(1'000 / timing_.tokens_per_second));
  }

  [[nodiscard]] std::string chunk_data(std::string_view rest) const {
    return "{\"id\":" + json_text(answer_.id) +
           ",\"object\":\"chat.completion.chunk\",\"created\":" + std::to_string(answer_.created) +
           ",\"model\":" + json_text(answer_.model) + "," + std::string(rest) + "}";
  }
  [[nodiscard]] std::string delta_data(std::string_view delta, std::string_view finish = "null") const {
    return chunk_data("\"choices\":[{\"index\":0,\"delta\":{" + std::string(delta) +
                      "},\"finish_reason\":" + std::string(finish) + "}]");
  }

  // --- in one piece

  [[nodiscard]] std::string whole_body() const {
    std::string message = "\"role\":\"assistant\",\"content\":" + json_text(joined(answer_.text));
    if (!answer_.reasoning.empty()) message += ",\"reasoning_content\":" + json_text(joined(answer_.reasoning));
    if (!answer_.calls.empty()) {
      message += ",\"tool_calls\":[";
      for (const Answer::Call& call : answer_.calls) {
        if (message.back() != '[') message += ",";
        message += "{\"id\":" + json_text(call.id) +
                   ",\"type\":\"function\",\"function\":{\"name\":" + json_text(call.name) +
                   ",\"arguments\":" + json_text(joined(call.arguments)) + "}}";
      }
      message += "]";
    }
    return "{\"id\":" + json_text(answer_.id) +
           ",\"object\":\"chat.completion\",\"created\":" + std::to_string(answer_.created) +
           ",\"model\":" + json_text(answer_.model) + ",\"choices\":[{\"index\":0,\"message\":{" + message +
           "},\"finish_reason\":" + json_text(answer_.finish) + "}],\"usage\":" + usage_of(answer_) + "}";
  }
  [[nodiscard]] int tokens() const { return static_cast<int>(answer_.completion_tokens()); }
  // As long as a stream of it takes.
  void wait_for_whole() { pause(timing_.first_token + gap() * std::max(tokens() - 1, 0)); }
  void whole() {
    wait_for_whole();
    send(response(200, whole_body()), tokens());
  }
  // Its head and the first half of its body.
  void half() {
    wait_for_whole();
    const std::string all = response(200, whole_body());
    const std::size_t head_size = all.find("\r\n\r\n") + 4;
    send(all.substr(0, head_size + (all.size() - head_size) / 2));
  }

 private:
  void wait_for_token(milliseconds gap) {
    const milliseconds time = std::exchange(said_first_, true) ? gap : timing_.first_token;
    if (time > milliseconds(0)) pause(time);
  }

  void make_parts() {
    using Kind = Part::Kind;
    parts_.clear();
    parts_.push_back({Kind::kRole, delta_data("\"role\":\"assistant\",\"content\":\"\"")});
    for (const std::string& token : answer_.reasoning)
      parts_.push_back({Kind::kReasoning, delta_data("\"reasoning_content\":" + json_text(token))});
    for (const std::string& token : answer_.text)
      parts_.push_back({Kind::kText, delta_data("\"content\":" + json_text(token))});
    for (std::size_t i = 0; i < answer_.calls.size(); ++i) {
      const Answer::Call& call = answer_.calls[i];
      const std::string begin = "\"tool_calls\":[{\"index\":" + std::to_string(i) + ",";
      parts_.push_back({Kind::kCall,
                        delta_data(begin + "\"id\":" + json_text(call.id) +
                                   ",\"type\":\"function\",\"function\":{\"name\":" + json_text(call.name) +
                                   ",\"arguments\":\"\"}}]"),
                        true});
      for (const std::string& piece : call.arguments)
        parts_.push_back({Kind::kCall, delta_data(begin + "\"function\":{\"arguments\":" + json_text(piece) + "}}]")});
    }
    parts_.push_back({Kind::kFinish, delta_data("", json_text(answer_.finish))});
    if (question_.include_usage)
      parts_.push_back({Kind::kUsage, chunk_data("\"choices\":[],\"usage\":" + usage_of(answer_))});
    parts_.push_back({Kind::kDone, "[DONE]"});
  }

  const Question& question_;
  Answer answer_;
  const Timing& timing_;
  const Strike& strike_;
  std::vector<Part> parts_;
  std::size_t next_ = 0;  // part
  bool begun_ = false;
  bool said_first_ = false;
  Plan plan_;
};

namespace {

using Kind = Draft::Part::Kind;

int status_of(std::string_view word) {
  int status = 0;
  const auto parsed = std::from_chars(word.data(), word.data() + word.size(), status);
  return word.size() == 3 && parsed.ptr == word.data() + 3 && status >= 400 && status < 600 ? status : 0;
}

void answer_with_status(Draft& draft) {
  const Strike& strike = draft.strike();
  const int status =
      status_of(strike.kind.starts_with("early_") ? std::string_view(strike.kind).substr(6) : strike.kind);
  std::string fields;
  if (strike.retry_after) {
    const auto whole = std::chrono::ceil<seconds>(*strike.retry_after);
    fields = "Retry-After: " + std::to_string(whole.count()) + "\r\n";
    if (whole != *strike.retry_after)
      fields += "retry-after-ms: " + std::to_string(strike.retry_after->count()) + "\r\n";
  }
  const std::string message =
      strike.message.empty() ? "simulated: " + std::string(http::reason_phrase(status)) : strike.message;
  const std::string_view type = status == 429  ? "rate_limit_error"
                                : status < 500 ? "invalid_request_error"
                                               : "server_error";
  draft.send(response(status, error_body(message, type, strike.code), fields));
}

// --- before the first token

void leave_with_reset(Draft& draft) { draft.reset(); }
void leave(Draft& draft) { draft.close(); }
void say_nothing(Draft& draft) { draft.silence(); }

void stream_headers_only(Draft& draft) {
  draft.begin_stream();
  draft.silence();
}
void whole_headers_only(Draft& draft) {
  draft.send(head(200, kJson, length_field(draft.whole_body().size())));
  draft.silence();
}
void stream_keep_alives(Draft& draft) {
  draft.begin_stream();
  draft.repeat(chunk(": keep-alive\n\n"), kKeepAlive);
}
void stream_blank_lines(Draft& draft) {
  draft.begin_stream();
  draft.repeat(chunk("\n"), kKeepAlive);
}
void whole_blank_lines(Draft& draft) {
  draft.send(chunked_head(kJson));
  draft.repeat(chunk("\n"), kKeepAlive);
}
void stream_role_only(Draft& draft) {
  draft.say(1);
  draft.silence();
}
void stream_error_first(Draft& draft) {
  draft.begin_stream();
  draft.event(error_body("simulated: overloaded", "server_error"));
  draft.end_stream();
}
void whole_error(Draft& draft) { draft.send(response(200, error_body("simulated: overloaded", "server_error"))); }

void stream_empty(Draft& draft) {
  draft.begin_stream();
  draft.event(draft.delta_data("\"role\":\"assistant\",\"content\":\"\""));
  draft.event(draft.delta_data("", "\"stop\""));
  draft.event("[DONE]");
  draft.end_stream();
}
void whole_empty(Draft& draft) {
  draft.send(response(200, "{\"id\":" + json_text(draft.answer().id) +
                               ",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
                               "\"assistant\",\"content\":\"\"},\"finish_reason\":\"stop\"}]}"));
}
void answer_with_page(Draft& draft) {
  constexpr std::string_view kPage = "<!DOCTYPE html><html><body><h1>Busy</h1></body></html>";
  draft.send(head(200, "text/html", length_field(kPage.size())).append(kPage));
}

// --- within the answer

void stream_reset(Draft& draft) {
  draft.say_up_to_strike();
  draft.reset();
}
void whole_reset(Draft& draft) {
  draft.half();
  draft.reset();
}
void stream_end(Draft& draft) {
  draft.say_up_to_strike();
  draft.end_stream();
}
void whole_close(Draft& draft) {
  draft.half();
  draft.close();
}
void stream_stall(Draft& draft) {
  draft.say_up_to_strike();
  draft.silence();
}
void whole_stall(Draft& draft) {
  draft.half();
  draft.silence();
}
void stream_error_event(Draft& draft) {
  draft.say_up_to_strike();
  draft.event(error_body("simulated: overloaded", "server_error"));
  draft.end_stream();
}
void stream_bad_json(Draft& draft) {
  draft.say_up_to_strike();
  draft.event("{\"id\":");
  draft.end_stream();
}
void whole_bad_json(Draft& draft) {
  const std::string body = draft.whole_body();
  draft.wait_for_whole();
  draft.send(response(200, std::string_view(body).substr(0, body.size() / 2)));
}
void stream_bad_chunk(Draft& draft) {
  draft.say_up_to_strike();
  draft.send("zz\r\n");
  draft.close();
}
void whole_bad_chunk(Draft& draft) {
  draft.wait_for_whole();
  const std::string body = draft.whole_body();
  draft.send(chunked_head(kJson) + chunk(std::string_view(body).substr(0, body.size() / 2)) + "zz\r\n");
  draft.close();
}
void stream_cut_in_character(Draft& draft) {
  draft.say_up_to_strike();
  draft.send(chunk(R"(data: {"choices":[{"index":0,"delta":{"content":")" + std::string("\xe5\xa4")));
  draft.close();
}
// The first half of the next word that has two halves, as a token.
void stream_cut_in_word(Draft& draft) {
  draft.say_up_to_strike();
  const auto& text = draft.answer().text;
  std::size_t said = 0;
  for (std::size_t i = 0; i < draft.next(); ++i) said += draft.parts()[i].kind == Kind::kText ? 1 : 0;
  while (said + 1 < text.size() && text[said].size() < 4) ++said, draft.say(draft.next() + 1);
  const std::string& word = text[std::min(said, text.size() - 1)];
  const bool is_ascii = std::ranges::all_of(word, [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  if (is_ascii && word.size() > 1)
    draft.event(draft.delta_data("\"content\":" + json_text(word.substr(0, word.size() / 2))));
  draft.reset();
}
void stream_cut_in_field(Draft& draft) {
  draft.say_up_to_strike();
  draft.send(chunk("da"));
  draft.close();
}
void stream_trickle(Draft& draft) {
  draft.say_up_to_strike();
  draft.say(draft.parts().size(), Draft::plain, kTrickle);
  draft.end_stream();
}
void whole_trickle(Draft& draft) {
  constexpr std::size_t kPiece = 8;  // bytes
  const std::string all = response(200, draft.whole_body());
  for (std::size_t at = 0; at < all.size(); at += kPiece) {
    draft.send(all.substr(at, kPiece));
    draft.pause(kTrickle);
  }
}
void say_reasoning(Draft& draft) {
  if (!draft.answer().reasoning.empty()) return draft.say(draft.strike_in(Kind::kReasoning));
  draft.say(1);
  draft.event(draft.delta_data(R"("reasoning_content":"Let me think")"));
}
void stream_reasoning_stall(Draft& draft) {
  say_reasoning(draft);
  draft.repeat(chunk(": keep-alive\n\n"), kKeepAlive);
}
void stream_reasoning_cut(Draft& draft) {
  say_reasoning(draft);
  draft.reset();
}

// The parts up to a place in the tool calls; an answer without any is struck in its text.
void reset_in_calls(Draft& draft, std::size_t place) {
  draft.say(draft.answer().calls.empty() ? draft.strike_in(Kind::kText) : place);
  draft.reset();
}
std::size_t call_begin(const Draft& draft, std::size_t number) {
  for (std::size_t i = 0; i < draft.parts().size(); ++i) {
    if (draft.parts()[i].begins_call && number-- == 0) return i;
  }
  const auto finish = std::ranges::find(draft.parts(), Kind::kFinish, &Draft::Part::kind);
  return static_cast<std::size_t>(finish - draft.parts().begin());
}
void stream_cut_in_call(Draft& draft) { reset_in_calls(draft, (call_begin(draft, 0) + call_begin(draft, 1)) / 2 + 1); }
void stream_cut_between_calls(Draft& draft) { reset_in_calls(draft, call_begin(draft, 1)); }
void stream_cut_after_calls(Draft& draft) { reset_in_calls(draft, call_begin(draft, draft.answer().calls.size())); }

// --- at its end, and in its form

void stream_no_done(Draft& draft) {
  draft.say(draft.parts().size() - 1);
  draft.end_stream();
}
void stream_crlf(Draft& draft) {
  draft.say(
      draft.parts().size(), [](const Draft::Part& part) { return "data: " + part.data + "\r\n\r\n"; }, draft.gap());
  draft.end_stream();
}
void stream_multi_line(Draft& draft) {
  draft.say(
      draft.parts().size(),
      [](const Draft::Part& part) {
        if (!part.data.starts_with("{")) return Draft::plain(part);
        return "data: {\ndata: " + part.data.substr(1) + "\n\n";
      },
      draft.gap());
  draft.end_stream();
}
void stream_big_event(Draft& draft) {
  draft.say_up_to_strike();
  const std::size_t big = draft.next();
  draft.say(
      big + 1,
      [](const Draft::Part& part) {
        return "data: {\"padding\":\"" + std::string(kBigEvent, 'x') + "\"," + part.data.substr(1) + "\n\n";
      },
      draft.gap());
  draft.say_all();
}
void whole_big(Draft& draft) {
  draft.wait_for_whole();
  draft.send(response(200, "{\"padding\":\"" + std::string(kBigEvent, 'x') + "\"," + draft.whole_body().substr(1)),
             draft.tokens());
}
std::string all_events(const Draft& draft) {
  std::string all;
  for (const Draft::Part& part : draft.parts()) all += Draft::plain(part);
  return all;
}
void stream_gzip(Draft& draft) {
  const std::string body = gzipped(all_events(draft));
  draft.wait_for_whole();
  draft.send(head(200, kEvents, length_field(body.size()) + "Content-Encoding: gzip\r\n") + body);
}
void whole_gzip(Draft& draft) {
  const std::string body = gzipped(draft.whole_body());
  draft.wait_for_whole();
  draft.send(head(200, kJson, length_field(body.size()) + "Content-Encoding: gzip\r\n") + body);
}
// `share` of the true length is announced, and `said` of it comes.
void lie_about_length(Draft& draft, std::string_view type, const std::string& body, double share, double said) {
  const auto part = [&](double of) { return static_cast<std::size_t>(static_cast<double>(body.size()) * of); };
  draft.wait_for_whole();
  draft.send(head(200, type, length_field(part(share))) + body.substr(0, part(said)));
  draft.close();
}
void stream_wrong_length(Draft& draft) { lie_about_length(draft, kEvents, all_events(draft), 0.5, 1); }
void whole_wrong_length(Draft& draft) { lie_about_length(draft, kJson, draft.whole_body(), 0.5, 1); }
void stream_short_body(Draft& draft) { lie_about_length(draft, kEvents, all_events(draft), 1, 0.5); }
void whole_short_body(Draft& draft) { lie_about_length(draft, kJson, draft.whole_body(), 1, 0.5); }

// --- where it is asked to go on with an answer; else nothing is wrong

void say_it(Draft& draft) {
  if (draft.question().stream) {
    draft.say_all();
  } else {
    draft.whole();
  }
}
void refuse_prefix(Draft& draft) {
  if (draft.question().form.empty()) return say_it(draft);
  draft.send(response(400, error_body("simulated: the last message has to be a user's", "invalid_request_error")));
}
void echo_prefix(Draft& draft) {
  if (!draft.question().form.empty()) draft.say_instead(draft.question().prefix + joined(draft.answer().text));
  say_it(draft);
}
void repeat_words(Draft& draft) {
  constexpr std::size_t kRepeated = 3;  // tokens
  if (!draft.question().form.empty()) {
    const std::vector<std::string> told = tokenize(draft.question().prefix);
    std::string again;
    for (std::size_t i = told.size() - std::min(kRepeated, told.size()); i < told.size(); ++i) again += told[i];
    draft.say_instead(again + joined(draft.answer().text));
  }
  say_it(draft);
}
void other_words(Draft& draft) {
  if (!draft.question().form.empty())
    draft.say_instead("Of course! Here is another answer, from its beginning to its end.");
  say_it(draft);
}
void fold_space(Draft& draft) {
  if (!draft.question().form.empty()) {
    std::string folded;
    for (const char c : joined(draft.answer().text)) {
      if ((c == ' ' || c == '\n') && (folded.empty() || folded.back() == ' ')) continue;
      folded += c == '\n' ? ' ' : c;
    }
    draft.say_instead(folded);
  }
  say_it(draft);
}

constexpr Fault kStatusFault{"503",
                             "an HTTP status from 400 to 599 and an error object, at once; any other in its place",
                             answer_with_status, answer_with_status};

constexpr std::array kFaults{
    kStatusFault,
    Fault{"early_413", "413 before the request's body has come", answer_with_status, answer_with_status, true},
    Fault{"early_429", "429 before the request's body has come", answer_with_status, answer_with_status, true},
    Fault{"refused", "the connection is reset without a word", leave_with_reset, leave_with_reset},
    Fault{"closed", "the connection is closed without a word", leave, leave},
    Fault{"silent", "the request is taken, and nothing comes", say_nothing, say_nothing},
    Fault{"headers_only", "status 200 and a header, then nothing", stream_headers_only, whole_headers_only},
    Fault{"keep_alives", "comments every second, and never a token; without a stream blank lines", stream_keep_alives,
          whole_blank_lines},
    Fault{"blank_lines", "blank lines every second, and never a token", stream_blank_lines, whole_blank_lines},
    Fault{"role_only", "a delta with a role, then nothing", stream_role_only, whole_headers_only},
    Fault{"error_first", "an error object with status 200", stream_error_first, whole_error},
    Fault{"empty", "a whole answer without content", stream_empty, whole_empty},
    Fault{"html", "an HTML page with status 200", answer_with_page, answer_with_page},
    Fault{"reset", "a TCP reset within the answer", stream_reset, whole_reset},
    Fault{"end", "a clean end within the answer; without a stream the connection closes", stream_end, whole_close},
    Fault{"stall", "silence within the answer", stream_stall, whole_stall},
    Fault{"error_event", "an error event within the answer", stream_error_event, whole_error},
    Fault{"bad_json", "an event that is broken JSON, or half an answer", stream_bad_json, whole_bad_json},
    Fault{"bad_chunk", "wrong chunk framing within the answer", stream_bad_chunk, whole_bad_chunk},
    Fault{"cut_in_character", "the connection closes inside a UTF-8 character", stream_cut_in_character, whole_close},
    Fault{"cut_in_word", "a reset behind half a word", stream_cut_in_word, whole_reset},
    Fault{"cut_in_field", "the connection closes inside the name of an SSE field", stream_cut_in_field, whole_close},
    Fault{"trickle", "a token a second from there on; without a stream eight bytes", stream_trickle, whole_trickle},
    Fault{"reasoning_stall", "silence within the reasoning, with keep-alive comments", stream_reasoning_stall,
          whole_stall},
    Fault{"reasoning_cut", "a reset within the reasoning", stream_reasoning_cut, whole_reset},
    Fault{"cut_in_call", "a reset inside the first tool call; in the text where there is none", stream_cut_in_call,
          whole_reset},
    Fault{"cut_between_calls", "a reset between the first two tool calls", stream_cut_between_calls, whole_reset},
    Fault{"cut_after_calls", "a reset between the last tool call and the finish", stream_cut_after_calls, whole_reset},
    Fault{"no_done", "the stream ends behind its finish_reason, without [DONE]", stream_no_done, say_it},
    Fault{"crlf", "lines end in CRLF: nothing is wrong", stream_crlf, say_it},
    Fault{"multi_line", "several data lines to an event: nothing is wrong", stream_multi_line, say_it},
    Fault{"big_event", "an event, or an answer, of 1 MiB: nothing is wrong", stream_big_event, whole_big},
    Fault{"gzip", "a compressed answer that nobody asked for", stream_gzip, whole_gzip},
    Fault{"wrong_length", "half of the true Content-Length is announced", stream_wrong_length, whole_wrong_length},
    Fault{"short_body", "half of the announced Content-Length comes", stream_short_body, whole_short_body},
    Fault{"refuse_prefix", "400 where it is asked to go on with an answer", refuse_prefix, refuse_prefix},
    Fault{"echo_prefix", "where it is asked to go on it says the part again, first", echo_prefix, echo_prefix},
    Fault{"repeat_words", "where it is asked to go on it says the last three tokens again", repeat_words, repeat_words},
    Fault{"other_words", "where it is asked to go on it begins another answer", other_words, other_words},
    Fault{"fold_space", "where it is asked to go on it folds white space", fold_space, fold_space},
};

}  // namespace

std::span<const Fault> faults() { return kFaults; }

const Fault* find_fault(std::string_view word) {
  for (const Fault& fault : kFaults) {
    if (fault.name == word) return &fault;
  }
  return status_of(word) != 0 ? &kFaults.front() : nullptr;
}

std::vector<std::string> fault_names() {
  std::vector<std::string> out;
  for (const Fault& fault : kFaults) out.emplace_back(fault.name);
  return out;
}

Plan make_plan(const Question& question, const Answer& answer, const Timing& timing, const Strike& strike) {
  Draft draft(question, answer, timing, strike);
  if (strike.fault == nullptr) {
    say_it(draft);
  } else {
    (question.stream ? strike.fault->stream : strike.fault->whole)(draft);
  }
  return draft.take();
}

}  // namespace spillway::simulate
