#include "api/openai/chat_format.h"

#include <algorithm>
#include <utility>

#include "api/openai/chat_reader.h"
#include "api/ordered_writer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

using Value = JsonTree::Value;

std::string_view word_of(Finish finish) {
  switch (finish) {
    case Finish::kLength: return "length";
    case Finish::kToolCalls: return "tool_calls";
    case Finish::kContentFilter: return "content_filter";
    case Finish::kStop:
    case Finish::kStopSequence: break;
  }
  return "stop";
}

class ChatWriter final : public StreamWriter {
 public:
  explicit ChatWriter(WriterSettings settings) : settings_(std::move(settings)) {}

  void go_on_from(const StreamFacts& facts) override {
    settings_.id = facts.id;
    settings_.model = facts.model;
    settings_.created = facts.created;
    choices_ = facts.choices;
    calls_ = facts.calls;
    begun_ = true;
  }

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kStart: return start(out, part);
      case PartKind::kText: return text_member(out, R"("content":")", part.text);
      case PartKind::kReasoning: return text_member(out, R"("reasoning_content":")", part.text);
      case PartKind::kRefusal: return text_member(out, R"("refusal":")", part.text);
      case PartKind::kEmbedding:
      case PartKind::kSignature: return;
      case PartKind::kCall:
        calls_ = true;
        return delta(out, R"("tool_calls":[{"index":)" + std::to_string(part.index) + R"(,"id":")" + part.id +
                              R"(","type":"function","function":{"name":")" + part.name + R"(","arguments":""}}])");
      case PartKind::kArguments:
        return delta(out, R"("tool_calls":[{"index":)" + std::to_string(part.index) + R"(,"function":{"arguments":")" +
                              part.text + R"("}}])");
      case PartKind::kLogprobs:
        out.append(beginning()).append(R"({"index":0,"delta":{},"logprobs":{"content":)");
        out.append(part.text).append(R"(},"finish_reason":null}]})").append("\n\n");
        return;
      case PartKind::kFinish: return finish(out, word_of(part.finish));
      case PartKind::kUsage:
        if (settings_.include_usage) merge(part.usage);
        return;
    }
  }

  void end(std::string& out) override {
    // A stream that was passed on as it came may have several choices.
    for (const StreamFacts::Choice& choice : std::exchange(choices_, {})) {
      finished_ = true;
      if (!choice.finish)
        finish(out, choice.tool_calls ? "tool_calls" : choice.function_call ? "function_call" : "stop", choice.index);
    }
    if (!finished_) finish(out, calls_ ? "tool_calls" : "stop");
    if (usage_) {
      out.append(beginning()).append("],\"usage\":");
      append_usage(out, *usage_);
      out += "}\n\n";
    }
    out += "data: [DONE]\n\n";
  }

  void fail(std::string& out, const ApiError& error) override {
    out.append("data: ").append(render_error(Dialect::kOpenAi, error)).append("\n\n");
  }
  std::string keep_alive() override { return ": keep-alive\n\n"; }
  std::string note(std::string_view json) override { return ": spillway " + std::string(json) + "\n\n"; }

 private:
  // What each event begins with; it is written for every token.
  const std::string& beginning() {
    if (!beginning_.empty()) return beginning_;
    beginning_ = "data: {\"id\":";
    json::append_string(beginning_, settings_.id);
    beginning_ += R"(,"object":"chat.completion.chunk","created":)" + std::to_string(settings_.created) + ",\"model\":";
    json::append_string(beginning_, settings_.model);
    return beginning_ += ",\"choices\":[";
  }
  void start(std::string& out, const Part& part) {
    if (std::exchange(begun_, true)) return;
    if (!part.id.empty()) settings_.id = json::unescaped(part.id);
    if (!part.name.empty()) settings_.model = json::unescaped(part.name);
    beginning_.clear();
    delta(out, R"("role":"assistant","content":"")");
  }
  void begin_delta(std::string& out) { out.append(beginning()).append(R"({"index":0,"delta":{)"); }
  static void end_delta(std::string& out) {
    out += R"(},"finish_reason":null}]})";
    out += "\n\n";
  }
  void delta(std::string& out, std::string_view members) {
    begin_delta(out);
    out += members;
    end_delta(out);
  }
  void text_member(std::string& out, std::string_view name, std::string_view text) {
    begin_delta(out);
    out.append(name).append(text).push_back('"');
    end_delta(out);
  }
  void finish(std::string& out, std::string_view word, std::int64_t index = 0) {
    finished_ = true;
    choices_.clear();
    out.append(beginning()).append("{\"index\":").append(std::to_string(index));
    out.append(R"(,"delta":{},"finish_reason":")").append(word).append("\"}]}\n\n");
  }
  // Anthropic tells of its input at the beginning, of its output at the end.
  void merge(const Usage& usage) {
    if (!usage_) usage_.emplace();
    const auto take = [](std::int64_t& into, std::int64_t from) { into = from >= 0 ? from : into; };
    take(usage_->input, usage.input);
    take(usage_->cached, usage.cached);
    take(usage_->cache_write, usage.cache_write);
    take(usage_->output, usage.output);
    take(usage_->reasoning, usage.reasoning);
  }

  WriterSettings settings_;  // with the identity of the stream
  std::string beginning_;
  std::vector<StreamFacts::Choice> choices_;  // of what was passed on
  std::optional<Usage> usage_;
  bool calls_ = false;
  bool begun_ = false;
  bool finished_ = false;
};

}  // namespace

Usage read_usage(Value usage) {
  const auto number = [](Value value) { return value.integer().value_or(-1); };
  Usage out;
  out.input = number(usage["prompt_tokens"]);
  out.output = number(usage["completion_tokens"]);
  out.cached = number(usage["prompt_tokens_details"]["cached_tokens"]);
  if (out.cached < 0) out.cached = number(usage["prompt_cache_hit_tokens"]);
  out.reasoning = number(usage["completion_tokens_details"]["reasoning_tokens"]);
  return out;
}

void append_usage(std::string& out, const Usage& usage) {
  const std::int64_t input = std::max<std::int64_t>(usage.input, 0);
  const std::int64_t output = std::max<std::int64_t>(usage.output, 0);
  out += "{\"prompt_tokens\":" + std::to_string(input) + ",\"completion_tokens\":" + std::to_string(output) +
         ",\"total_tokens\":" + std::to_string(input + output);
  if (usage.cached >= 0) out += R"(,"prompt_tokens_details":{"cached_tokens":)" + std::to_string(usage.cached) + "}";
  if (usage.reasoning >= 0)
    out += R"(,"completion_tokens_details":{"reasoning_tokens":)" + std::to_string(usage.reasoning) + "}";
  out += "}";
}

std::variant<ChatRequest, ApiError> ChatFormat::decode(std::string_view body, bool trusted) const {
  return decode_request(body, kChatShape, trusted);
}

std::string ChatFormat::missing_before(const Chunk& chunk, const StreamFacts& facts) const {
  return chunk.without_role >= 0 ? role_event(facts, chunk.without_role) : std::string();
}

Answer ChatFormat::read_answer(std::string_view body, Parts* parts) const { return read_chat_answer(body, parts); }

std::unique_ptr<EventReader> ChatFormat::reader() const { return chat_reader(); }

std::unique_ptr<StreamWriter> ChatFormat::writer(WriterSettings settings) const {
  return with_arguments(std::make_unique<ChatWriter>(std::move(settings)));
}

std::unique_ptr<AnswerRules> ChatFormat::rules() const { return chat_rules(); }

}  // namespace spillway::api::openai
