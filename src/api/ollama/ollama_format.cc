#include "api/ollama/ollama_format.h"

#include <algorithm>
#include <utility>

#include "api/json_reading.h"
#include "api/ordered_writer.h"
#include "api/tool_calls.h"
#include "base/text.h"

namespace spillway::api::ollama {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

// Where a line has its text and its thinking.
struct Said {
  Value text;
  Value thinking;
  Value calls;
};
Said said_in(Value line) {
  if (const Value message = line["message"]) return {message["content"], message["thinking"], message["tool_calls"]};
  return {line["response"], line["thinking"], {}};
}

bool counts(Value line) {
  const std::string_view reason = line["done_reason"].escaped();
  return line["eval_count"].integer().value_or(0) > 0 || (!reason.empty() && reason != "stop");
}

class LineReader final : public EventReader {
 public:
  Chunk read(std::string_view, std::string_view data, StreamFacts& facts, Parts* parts) override {
    thread_local JsonTree tree;
    Chunk chunk;
    const JsonTree::Found found = tree.look_at(data);
    if (found == JsonTree::Found::kOther) chunk.kind = Chunk::Kind::kNoise;
    if (found != JsonTree::Found::kObject) return chunk;
    const Value line = tree.root();
    if (const Value error = line["error"]; !is_void_error(error)) {
      chunk.kind = Chunk::Kind::kError;
      chunk.error = error_of(error);
      return chunk;
    }
    chunk = note(line, facts);
    if (chunk.kind == Chunk::Kind::kChunk && parts != nullptr) read_line(line, *parts);
    return chunk;
  }

  void read_line(Value line, Parts& out) {
    if (!std::exchange(started_, true))
      out.push_back({.kind = PartKind::kStart, .name = std::string(line["model"].escaped())});
    const Said said = said_in(line);
    add_text(out, PartKind::kReasoning, said.thinking);
    add_text(out, PartKind::kText, said.text);
    if (calls_ == 0) tool_calls_.of_answer(line["created_at"].raw());
    for (const Value call : said.calls) add_call(call, out);
    if (const Value logprobs = line["logprobs"]; !logprobs.empty())
      out.push_back({.kind = PartKind::kLogprobs, .text = std::string(logprobs.raw())});
    if (!line["done"].is_true()) return;
    const bool is_length = line["done_reason"].escaped() == "length";
    out.push_back({.kind = PartKind::kFinish,
                   .finish = is_length    ? Finish::kLength
                             : calls_ > 0 ? Finish::kToolCalls
                                          : Finish::kStop});
    Usage usage;
    usage.input = line["prompt_eval_count"].integer().value_or(-1);
    usage.output = line["eval_count"].integer().value_or(-1);
    out.push_back({.kind = PartKind::kUsage, .usage = usage});
  }

 private:
  static void add_text(Parts& out, PartKind kind, Value text) {
    if (!text.escaped().empty()) out.push_back({.kind = kind, .text = std::string(text.escaped())});
  }
  static Chunk note(Value line, StreamFacts& facts) {
    Chunk chunk;
    const Said said = said_in(line);
    const bool done = line["done"].is_true();
    if (!said.text.is(Type::kString) && !done && said.calls.empty()) {
      chunk.kind = Chunk::Kind::kNoise;
      return chunk;
    }
    chunk.kind = Chunk::Kind::kChunk;
    if (facts.choices.empty()) {
      facts.choices.push_back({0, true, false, false, false});
      facts.model = line["model"].text();
    }
    if (!said.calls.empty()) facts.calls = facts.choices.front().tool_calls = true;
    facts.call_bytes += said.calls.raw().size();
    facts.add_text(said.text.escaped());
    chunk.token = !said.text.escaped().empty() || !said.thinking.escaped().empty() || !said.calls.empty();
    if (chunk.token) facts.count_token();
    if (done) {
      facts.choices.front().finish = true;
      chunk.usage = true;
      facts.counted |= counts(line);
    }
    if (facts.call_bytes > StreamFacts::kMaxCalls) chunk.kind = Chunk::Kind::kGarbage;
    return chunk;
  }
  // Each comes whole; some servers give the arguments as a text.
  void add_call(Value call, Parts& out) {
    const Value function = call["function"];
    const Value arguments = function["arguments"];
    std::string text(arguments.escaped());
    if (arguments.is(Type::kObject)) text = escaped(arguments.raw());
    tool_calls_.add({calls_++, call["id"].escaped(), function["name"].escaped(), text}, out);
  }

  ToolCalls tool_calls_;
  std::int64_t calls_ = 0;
  bool started_ = false;
};

// Texts are joined, tool calls gathered; of all else the last line has the word.
class LineRules final : public AnswerRules {
 public:
  void add(Value line, JsonDraft& answer) override {
    for (const Value member : line) {
      const JsonDraft::Place place = answer.member(JsonDraft::kRoot, member.key());
      if (member.key() == "message" && member.is(Type::kObject)) {
        for (const Value inner : member) add_member(answer.member(place, inner.key()), inner, answer);
      } else {
        add_member(place, member, answer);
      }
    }
  }

 private:
  static void add_member(JsonDraft::Place place, Value member, JsonDraft& answer) {
    const std::string_view name = member.key();
    const bool in_pieces = name == "content" || name == "thinking" || name == "response";
    if (in_pieces && member.is(Type::kString)) {
      answer.add_text(place, member.escaped());
    } else if ((name == "tool_calls" || name == "logprobs") && member.is(Type::kArray)) {
      for (const Value one : member) answer.set(answer.insert(place, answer.count(place)), one);
    } else {
      answer.set(place, member);
    }
  }
};

class LineWriter final : public StreamWriter {
 public:
  LineWriter(WriterSettings settings, bool generates)
      : settings_(std::move(settings)), generates_(generates), model_(escaped(settings_.model)) {}

  void go_on_from(const StreamFacts& facts) override {
    if (!facts.model.empty()) model_ = escaped(facts.model);
    calls_ = facts.calls;
    said_finish_ = facts.finished();
  }

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kStart:
        if (!part.name.empty()) model_ = part.name;
        return;
      case PartKind::kText:
      case PartKind::kRefusal: return say(out, generates_ ? "response" : "content", part.text);
      case PartKind::kReasoning: return say(out, "thinking", part.text);
      case PartKind::kEmbedding:
      case PartKind::kSignature: return;
      case PartKind::kCall:
        end_call(out);
        calls_ = true;
        call_.emplace(part);
        return;
      case PartKind::kArguments:
        if (call_) call_->text += part.text;
        return;
      case PartKind::kLogprobs:
        begin_line(out);
        append_said(out, {}, {});
        out.append(",\"logprobs\":").append(part.text).append(",\"done\":false}\n");
        return;
      case PartKind::kFinish:
        end_call(out);
        finish_ = part.finish;
        return;
      case PartKind::kUsage:
        if (part.usage.input >= 0) usage_.input = part.usage.input;
        if (part.usage.output >= 0) usage_.output = part.usage.output;
        return;
    }
  }

  void end(std::string& out) override {
    if (said_finish_) return;
    end_call(out);
    begin_line(out);
    append_said(out, {}, {});
    const std::int64_t total = settings_.elapsed_ns ? settings_.elapsed_ns() : 0;
    const std::int64_t prompt = first_at_ns_ < 0 ? total : first_at_ns_;
    out.append(",\"done\":true,\"done_reason\":\"").append(finish_ == Finish::kLength ? "length" : "stop");
    out += "\",\"total_duration\":" + std::to_string(total) +
           ",\"load_duration\":0,\"prompt_eval_count\":" + std::to_string(std::max<std::int64_t>(usage_.input, 0)) +
           ",\"prompt_eval_duration\":" + std::to_string(prompt) +
           ",\"eval_count\":" + std::to_string(std::max<std::int64_t>(usage_.output, 0)) +
           ",\"eval_duration\":" + std::to_string(total - prompt) + "}\n";
  }

  void fail(std::string& out, const ApiError& error) override {
    out.append(render_error(Dialect::kOllama, error)).append("\n");
  }
  // Clients read each line as JSON.
  std::string keep_alive() override {
    std::string out;
    say(out, generates_ ? "response" : "content", {});
    return out;
  }
  std::string note(std::string_view) override { return {}; }

 private:
  void begin_line(std::string& out) {
    if (moment_.empty()) moment_ = rfc3339(settings_.created);
    out.append(R"({"model":")").append(model_).append(R"(","created_at":")").append(moment_).append("\",");
  }
  void append_said(std::string& out, std::string_view name, std::string_view text) const {
    if (generates_) {
      out.append(R"("response":")").append(name == "response" ? text : std::string_view()).append("\"");
      if (name == "thinking") out.append(R"(,"thinking":")").append(text).append("\"");
      return;
    }
    out.append(R"("message":{"role":"assistant","content":")").append(name == "content" ? text : std::string_view());
    out += "\"";
    if (name == "thinking") out.append(R"(,"thinking":")").append(text).append("\"");
    out += "}";
  }
  void say(std::string& out, std::string_view name, std::string_view text) {
    if (first_at_ns_ < 0 && !text.empty() && settings_.elapsed_ns) first_at_ns_ = settings_.elapsed_ns();
    begin_line(out);
    append_said(out, name, text);
    out += ",\"done\":false}\n";
  }
  // A call goes out whole.
  void end_call(std::string& out) {
    if (!call_) return;
    const std::string arguments = arguments_of(call_->text).value_or("{}");
    begin_line(out);
    out.append(R"("message":{"role":"assistant","content":"","tool_calls":[{)");
    if (!call_->id.empty()) out.append(R"("id":")").append(call_->id).append("\",");
    out.append(R"("function":{"name":")").append(call_->name).append(R"(","arguments":)").append(arguments);
    out += "}}]},\"done\":false}\n";
    call_.reset();
  }

  WriterSettings settings_;
  bool generates_;
  std::string model_;  // escaped
  std::string moment_;
  std::optional<Part> call_;
  std::optional<Finish> finish_;
  Usage usage_;
  std::int64_t first_at_ns_ = -1;
  bool calls_ = false;
  bool said_finish_ = false;
};

}  // namespace

std::variant<ChatRequest, ApiError> OllamaFormat::decode(std::string_view body, bool trusted) const {
  RequestShape shape;
  shape.streams_by_default = true;
  shape.has_options = true;
  shape.input_required = false;
  if (generates()) {
    shape.input = "prompt";
    shape.input_is_list = false;
  }
  return decode_request(body, shape, trusted);
}

// A model is loaded so; here it always is.
std::string OllamaFormat::nothing(const WriterSettings& settings) const {
  return R"({"model":")" + escaped(settings.model) + R"(","created_at":")" + rfc3339(settings.created) + "\"," +
         (generates() ? R"("response":"")" : R"("message":{"role":"assistant","content":""})") +
         R"(,"done":true,"done_reason":"load"})";
}

Answer OllamaFormat::read_answer(std::string_view body, Parts* parts) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(body)) return answer;
  const Value line = tree.root();
  const Said said = said_in(line);
  if (!is_void_error(line["error"])) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_of(line["error"]);
  } else if (said.text.is(Type::kString) || !said.calls.empty()) {
    const bool something =
        !said.text.escaped().empty() || !said.thinking.escaped().empty() || !said.calls.empty() || counts(line);
    answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
    if (something && parts != nullptr) LineReader().read_line(line, *parts);
  }
  return answer;
}

std::unique_ptr<EventReader> OllamaFormat::reader() const { return std::make_unique<LineReader>(); }

std::unique_ptr<StreamWriter> OllamaFormat::writer(WriterSettings settings) const {
  return in_order(std::make_unique<LineWriter>(std::move(settings), generates()));
}

std::unique_ptr<AnswerRules> OllamaFormat::rules() const { return std::make_unique<LineRules>(); }

}  // namespace spillway::api::ollama
