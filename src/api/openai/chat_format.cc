#include "api/openai/chat_format.h"

#include <algorithm>
#include <utility>

#include "api/openai/answer_assembler.h"
#include "api/openai/chat_answer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

using Value = JsonTree::Value;

Finish finish_of(std::string_view word) {
  if (word == "length") return Finish::kLength;
  if (word == "tool_calls" || word == "function_call") return Finish::kToolCalls;
  if (word == "content_filter") return Finish::kContentFilter;
  return Finish::kStop;
}

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

void add_text(Parts& out, PartKind kind, std::string_view escaped) {
  if (!escaped.empty()) out.push_back({.kind = kind, .text = std::string(escaped)});
}

void add_calls(Value calls, Parts& out) {
  std::int64_t place = 0;
  for (const Value call : calls) {
    const std::int64_t index = call["index"].integer().value_or(place++);
    const Value function = call["function"];
    // Some servers repeat the id, or the name, in each piece: a call begins where it has both.
    if (!call["id"].escaped().empty() && !function["name"].escaped().empty()) {
      out.push_back({.kind = PartKind::kCall,
                     .index = index,
                     .id = std::string(call["id"].escaped()),
                     .name = std::string(function["name"].escaped())});
    }
    if (const std::string_view arguments = function["arguments"].escaped(); !arguments.empty())
      out.push_back({.kind = PartKind::kArguments, .index = index, .text = std::string(arguments)});
  }
}

// A delta, or a message: both name what they carry alike.
void add_message(Value message, Parts& out) {
  for (const Value member : message) {
    const std::string_view key = member.key();
    if (key == "content") {
      if (member.is(JsonTree::Type::kString)) add_text(out, PartKind::kText, member.escaped());
      // Mistral's list of parts.
      for (const Value part : member) {
        if (part["type"].escaped() == "text") add_text(out, PartKind::kText, part["text"].escaped());
        for (const Value thought : part["thinking"]) add_text(out, PartKind::kReasoning, thought["text"].escaped());
      }
    } else if (key == "reasoning_content" || key == "reasoning") {
      add_text(out, PartKind::kReasoning, member.escaped());
    } else if (key == "refusal") {
      add_text(out, PartKind::kRefusal, member.escaped());
    } else if (key == "tool_calls") {
      add_calls(member, out);
    }
  }
}

class ChatReader final : public PartReader {
 public:
  void read(std::string_view, std::string_view data, Parts& out) override {
    if (!tree_.parse(data)) return;
    read_object(tree_.root(), "delta", out);
  }

  void read_object(Value chunk, std::string_view inside, Parts& out) {
    const Value id = chunk["id"];
    if (!std::exchange(started_, true)) {
      out.push_back(
          {.kind = PartKind::kStart, .id = std::string(id.escaped()), .name = std::string(chunk["model"].escaped())});
    }
    for (const Value choice : chunk["choices"]) {
      if (choice["index"].integer().value_or(0) != 0) continue;
      add_message(choice[inside], out);
      if (const Value logprobs = choice["logprobs"]["content"]; logprobs.is(JsonTree::Type::kArray))
        out.push_back({.kind = PartKind::kLogprobs, .text = std::string(logprobs.raw())});
      const std::string_view finish = choice["finish_reason"].escaped();
      if (!finish.empty() && finish != "null") out.push_back({.kind = PartKind::kFinish, .finish = finish_of(finish)});
    }
    if (const Value usage = chunk["usage"]) out.push_back({.kind = PartKind::kUsage, .usage = read_usage(usage)});
  }

 private:
  JsonTree tree_;
  bool started_ = false;
};

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

Chunk ChatFormat::read_event(std::string_view type, std::string_view data, StreamFacts& facts) const {
  Chunk chunk = read_chunk(data, facts);
  // "ping": whatever it holds is no failure.
  const bool is_foreign = !type.empty() && type != "message" && type != "error";
  if (is_foreign && chunk.kind != Chunk::Kind::kChunk && chunk.kind != Chunk::Kind::kDone)
    chunk.kind = Chunk::Kind::kNoise;
  return chunk;
}

std::string ChatFormat::missing_before(const Chunk& chunk, const StreamFacts& facts) const {
  return chunk.without_role >= 0 ? role_event(facts, chunk.without_role) : std::string();
}

Answer ChatFormat::read_answer(std::string_view body) const { return openai::read_answer(body); }

std::unique_ptr<PartReader> ChatFormat::part_reader() const { return std::make_unique<ChatReader>(); }

void ChatFormat::read_parts(std::string_view body, Parts& out) const {
  JsonTree tree;
  if (tree.parse(body)) ChatReader().read_object(tree.root(), "message", out);
}

std::unique_ptr<StreamWriter> ChatFormat::writer(WriterSettings settings) const {
  return std::make_unique<ChatWriter>(std::move(settings));
}

std::unique_ptr<Assembler> ChatFormat::assembler() const { return std::make_unique<AnswerAssembler>(); }

}  // namespace spillway::api::openai
