#include "api/anthropic/messages_format.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "api/json_reading.h"
#include "api/ordered_writer.h"
#include "api/tool_calls.h"
#include "base/json_text.h"

namespace spillway::api::anthropic {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;
using Block = StreamFacts::Block;

Finish finish_of(std::string_view word) {
  if (word == "max_tokens" || word == "model_context_window_exceeded") return Finish::kLength;
  if (word == "tool_use") return Finish::kToolCalls;
  if (word == "stop_sequence") return Finish::kStopSequence;
  if (word == "refusal") return Finish::kContentFilter;
  return Finish::kStop;  // end_turn, pause_turn
}

std::string_view word_of(Finish finish) {
  switch (finish) {
    case Finish::kLength: return "max_tokens";
    case Finish::kToolCalls: return "tool_use";
    case Finish::kStopSequence: return "stop_sequence";
    case Finish::kContentFilter: return "refusal";
    case Finish::kStop: break;
  }
  return "end_turn";
}

Block block_of(std::string_view type) {
  if (type == "text") return Block::kText;
  if (type == "thinking" || type == "redacted_thinking") return Block::kThinking;
  if (type == "tool_use") return Block::kToolUse;
  return Block::kOther;
}

// What was read from a cache or written to one is not counted among its input_tokens.
Usage read_usage(Value usage) {
  Usage out;
  const auto input = usage["input_tokens"].integer();
  const auto read = usage["cache_read_input_tokens"].integer();
  const auto written = usage["cache_creation_input_tokens"].integer();
  if (input) out.input = *input + read.value_or(0) + written.value_or(0);
  out.cached = read.value_or(-1);
  out.cache_write = written.value_or(-1);
  return out;
}

UpstreamError error_in(Value error) {
  UpstreamError out = error_of(error);
  if (const Value code = error["details"]["error_code"]) out.code = error_of(code).message;
  return out;
}

void begin_facts(StreamFacts& facts) {
  if (facts.choices.empty()) facts.choices.push_back({0, true, false, false, false});
}

// A block begins. Some servers give all of it at once.
void note_block(Value event, StreamFacts& facts, Chunk& chunk) {
  const Value block = event["content_block"];
  facts.block_index = event["index"].integer().value_or(facts.block_index + 1);
  if (!facts.calls) {
    facts.block_before_calls = facts.block;
    facts.blocks_before_calls = facts.blocks;
  }
  facts.block = block_of(block["type"].escaped());
  ++facts.blocks;
  if (facts.block == Block::kToolUse) {
    facts.calls = true;
    facts.call_bytes += block.raw().size();
    facts.choices.front().tool_calls = true;
    chunk.token = true;
  } else if (facts.block == Block::kOther) {
    facts.opaque = chunk.token = true;
  } else {
    facts.add_text(block["text"].escaped());
    chunk.token = !block["text"].escaped().empty() || !block["thinking"].escaped().empty();
  }
}

void note_delta(Value event, StreamFacts& facts, Chunk& chunk) {
  const Value delta = event["delta"];
  // Blocks that interleave cannot be gone on with: which of them the client has open is not known any more.
  facts.opaque |= event["index"].integer().value_or(facts.block_index) != facts.block_index;
  const std::string_view type = delta["type"].escaped();
  if (type == "text_delta") {
    facts.add_text(delta["text"].escaped());
    chunk.token = !delta["text"].escaped().empty();
  } else if (type == "thinking_delta") {
    chunk.token = !delta["thinking"].escaped().empty();
  } else if (type == "input_json_delta") {
    chunk.token = !delta["partial_json"].escaped().empty();
    facts.call_bytes += delta["partial_json"].escaped().size();
  }
}

void add_text(Parts& out, PartKind kind, std::string_view escaped) {
  if (!escaped.empty()) out.push_back({.kind = kind, .text = std::string(escaped)});
}

class MessagesReader final : public EventReader {
 public:
  Chunk read(std::string_view type, std::string_view data, StreamFacts& facts, Parts* parts) override {
    thread_local JsonTree tree;
    Chunk chunk;
    const JsonTree::Found found = tree.look_at(data);
    if (found == JsonTree::Found::kOther) chunk.kind = Chunk::Kind::kNoise;
    if (found != JsonTree::Found::kObject) return chunk;
    const Value event = tree.root();
    if (const std::string_view named = event["type"].escaped(); !named.empty()) type = named;
    note(type, event, facts, chunk);
    if (facts.call_bytes > StreamFacts::kMaxCalls) chunk.kind = Chunk::Kind::kGarbage;
    if (chunk.kind == Chunk::Kind::kChunk && parts != nullptr) add_parts(type, event, *parts);
    if (chunk.token) facts.count_token();
    return chunk;
  }

  void read_message(Value message, Parts& out) {
    begin(message, out);
    for (const Value block : message["content"]) {
      add_block(block, ++block_, out);
      add_text(out, PartKind::kSignature, block["signature"].escaped());
    }
    end(message, message["usage"], out);
  }

 private:
  static void note(std::string_view type, Value event, StreamFacts& facts, Chunk& chunk) {
    chunk.kind = Chunk::Kind::kChunk;
    if (type == "message_start") {
      const Value message = event["message"];
      facts.id = message["id"].text();
      facts.model = message["model"].text();
      facts.input_tokens = read_usage(message["usage"]).input;
      begin_facts(facts);
    } else if (type == "content_block_start") {
      begin_facts(facts);
      note_block(event, facts, chunk);
    } else if (type == "content_block_delta") {
      begin_facts(facts);
      note_delta(event, facts, chunk);
    } else if (type == "content_block_stop") {
      facts.block = Block::kNone;
    } else if (type == "message_delta") {
      begin_facts(facts);
      const std::string_view reason = event["delta"]["stop_reason"].escaped();
      facts.choices.front().finish |= !reason.empty();
      chunk.usage = static_cast<bool>(event["usage"]);
      facts.counted |= finish_of(reason) != Finish::kStop || event["usage"]["output_tokens"].integer().value_or(0) > 0;
    } else if (type == "message_stop") {
      chunk.kind = Chunk::Kind::kDone;
    } else if (type == "error" || !is_void_error(event["error"])) {
      chunk.kind = Chunk::Kind::kError;
      chunk.error = error_in(event["error"]);
    } else {
      chunk.kind = Chunk::Kind::kNoise;
    }
  }

  void add_parts(std::string_view type, Value event, Parts& out) {
    if (type == "message_start") {
      begin(event["message"], out);
    } else if (type == "content_block_start") {
      block_ = event["index"].integer().value_or(block_ + 1);
      add_block(event["content_block"], block_, out);
    } else if (type == "content_block_delta") {
      add_delta(event["delta"], event["index"].integer().value_or(block_), out);
    } else if (type == "message_delta") {
      end(event["delta"], event["usage"], out);
    }
  }
  void begin(Value message, Parts& out) {
    id_ = message["id"].escaped();
    out.push_back({.kind = PartKind::kStart,
                   .id = std::string(message["id"].escaped()),
                   .name = std::string(message["model"].escaped())});
    if (const Value usage = message["usage"]) out.push_back({.kind = PartKind::kUsage, .usage = read_usage(usage)});
  }
  void add_block(Value block, std::int64_t at, Parts& out) {
    if (block["type"].escaped() == "tool_use") {
      const auto call = static_cast<std::int64_t>(calls_.size());
      calls_[at] = call;
      out.push_back({.kind = PartKind::kCall,
                     .index = call,
                     .id = std::string(block["id"].escaped()),
                     .name = std::string(block["name"].escaped())});
      if (out.back().id.empty()) out.back().id = ToolCalls::made_id(id_, static_cast<std::size_t>(call));
      if (const Value input = block["input"]; !input.empty())
        out.push_back({.kind = PartKind::kArguments, .index = call, .text = escaped(input.raw())});
      return;
    }
    add_text(out, PartKind::kText, block["text"].escaped());
    add_text(out, PartKind::kReasoning, block["thinking"].escaped());
  }
  void add_delta(Value delta, std::int64_t at, Parts& out) {
    const std::string_view type = delta["type"].escaped();
    if (type == "text_delta") add_text(out, PartKind::kText, delta["text"].escaped());
    if (type == "thinking_delta") add_text(out, PartKind::kReasoning, delta["thinking"].escaped());
    if (type == "signature_delta") add_text(out, PartKind::kSignature, delta["signature"].escaped());
    if (type != "input_json_delta") return;
    const auto call = calls_.find(at);
    if (const std::string_view piece = delta["partial_json"].escaped(); call != calls_.end() && !piece.empty())
      out.push_back({.kind = PartKind::kArguments, .index = call->second, .text = std::string(piece)});
  }
  static void end(Value delta, Value usage, Parts& out) {
    if (const std::string_view reason = delta["stop_reason"].escaped(); !reason.empty()) {
      out.push_back({.kind = PartKind::kFinish,
                     .finish = finish_of(reason),
                     .text = std::string(delta["stop_sequence"].escaped())});
    }
    if (!usage) return;
    Usage counted = read_usage(usage);
    counted.output = usage["output_tokens"].integer().value_or(-1);
    out.push_back({.kind = PartKind::kUsage, .usage = counted});
  }

  std::string id_;
  std::unordered_map<std::int64_t, std::int64_t> calls_;  // by the index of their block
  std::int64_t block_ = -1;                               // the index of the latest one
};

// As the SDK does it (anthropic-sdk-python, lib/streaming/_messages.py), but blocks by their index.
class MessageRules final : public AnswerRules {
 public:
  void add(Value event, JsonDraft& answer) override {
    const std::string_view type = event["type"].escaped();
    if (type == "message_start" && event["message"].is(Type::kObject)) {
      answer.set(JsonDraft::kRoot, event["message"]);
      answer.set_json(answer.member(JsonDraft::kRoot, "content"), "[]");
      blocks_.clear();
    } else if (type == "content_block_start" && event["content_block"].is(Type::kObject)) {
      const JsonDraft::Place content = answer.member(JsonDraft::kRoot, "content");
      last_ = event["index"].integer().value_or(last_ + 1);
      const JsonDraft::Place made = answer.insert(content, blocks_.size());
      answer.set(made, event["content_block"]);
      blocks_[last_] = {made, {}};
    } else if (type == "content_block_delta") {
      const auto found = blocks_.find(event["index"].integer().value_or(last_));
      if (found != blocks_.end()) add_delta(found->second, event["delta"], answer);
    } else if (type == "message_delta") {
      for (const Value member : event["delta"]) answer.set(answer.member(JsonDraft::kRoot, member.key()), member);
      for (const Value member : event["usage"]) {
        if (member) answer.set(answer.member(answer.member(JsonDraft::kRoot, "usage"), member.key()), member);
      }
    }
  }

  void finish(JsonDraft& answer) override {
    if (blocks_.empty()) answer.set_json(answer.member(JsonDraft::kRoot, "content"), "[]");
    for (const auto& [index, block] : blocks_) {
      if (const auto input = arguments_of(block.input); input && !block.input.empty())
        answer.set_json(answer.member(block.place, "input"), *input);
    }
  }

 private:
  struct Block {
    JsonDraft::Place place;
    std::string input;  // of a tool call, as pieces of JSON text, escaped
  };

  static void add_delta(Block& block, Value delta, JsonDraft& answer) {
    const std::string_view type = delta["type"].escaped();
    if (type == "text_delta") {
      answer.add_text(answer.member(block.place, "text"), delta["text"].escaped());
    } else if (type == "thinking_delta") {
      answer.add_text(answer.member(block.place, "thinking"), delta["thinking"].escaped());
    } else if (type == "signature_delta") {
      answer.set(answer.member(block.place, "signature"), delta["signature"]);
    } else if (type == "input_json_delta") {
      block.input += delta["partial_json"].escaped();
    } else if (type == "citations_delta" && delta["citation"]) {
      const JsonDraft::Place list = answer.member(block.place, "citations");
      answer.set(answer.insert(list, answer.count(list)), delta["citation"]);
    }
  }

  std::unordered_map<std::int64_t, Block> blocks_;  // by their index
  std::int64_t last_ = -1;
};

class MessagesWriter final : public StreamWriter {
 public:
  explicit MessagesWriter(WriterSettings settings) : settings_(std::move(settings)) {}

  void go_on_from(const StreamFacts& facts) override {
    started_ = true;
    block_ = facts.block;
    blocks_ = facts.blocks;
    calls_ = facts.calls;
    said_finish_ = facts.finished();
  }

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kStart: return start(out, part.id, part.name);
      case PartKind::kText:
      case PartKind::kRefusal:
        open(out, Block::kText, R"({"type":"text","text":""})");
        return delta(out, R"("text_delta","text":")", part.text);
      case PartKind::kReasoning:
        open(out, Block::kThinking, R"({"type":"thinking","thinking":"","signature":""})");
        return delta(out, R"("thinking_delta","thinking":")", part.text);
      case PartKind::kSignature:
        if (block_ == Block::kThinking) delta(out, R"("signature_delta","signature":")", part.text);
        return;
      case PartKind::kCall:
        close(out);
        calls_ = true;
        open(out, Block::kToolUse,
             R"({"type":"tool_use","id":")" + fitting_id(part.id, CallIds::kWord) + R"(","name":")" + part.name +
                 R"(","input":{}})");
        return;
      case PartKind::kArguments:
        if (block_ == Block::kToolUse) delta(out, R"("input_json_delta","partial_json":")", part.text);
        return;
      case PartKind::kEmbedding:
      case PartKind::kLogprobs: return;
      case PartKind::kFinish:
        finish_ = part.finish;
        stop_sequence_ = part.text;
        return;
      case PartKind::kUsage: return merge(part.usage);
    }
  }

  void end(std::string& out) override {
    start(out, {}, {});
    close(out);
    if (!said_finish_) {
      const Finish finish = finish_.value_or(calls_ ? Finish::kToolCalls : Finish::kStop);
      const bool has_sequence = finish == Finish::kStopSequence && !stop_sequence_.empty();
      out += "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"";
      out.append(finish == Finish::kStopSequence && !has_sequence ? "end_turn" : word_of(finish));
      out += "\",\"stop_sequence\":";
      out.append(has_sequence ? "\"" + stop_sequence_ + "\"" : "null").append("},\"usage\":{");
      append_usage(out);
      out += "}}\n\n";
    }
    out += "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
  }

  void fail(std::string& out, const ApiError& error) override {
    out.append("event: error\ndata: ").append(render_error(Dialect::kAnthropic, error)).append("\n\n");
  }
  std::string keep_alive() override { return ": keep-alive\n\n"; }
  std::string note(std::string_view json) override { return ": spillway " + std::string(json) + "\n\n"; }

 private:
  void start(std::string& out, std::string_view id, std::string_view model) {
    if (std::exchange(started_, true)) return;
    out += "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"";
    out.append(id.empty() ? escaped(settings_.id) : std::string(id));
    out += R"(","type":"message","role":"assistant","model":")";
    out.append(model.empty() ? escaped(settings_.model) : std::string(model));
    out += R"(","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":0,"output_tokens":0}}})";
    out += "\n\n";
  }
  void open(std::string& out, Block block, std::string_view content) {
    start(out, {}, {});
    if (block_ == block) return;
    close(out);
    block_ = block;
    out +=
        "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":" + std::to_string(blocks_++) +
        ",\"content_block\":";
    out.append(content).append("}\n\n");
  }
  void delta(std::string& out, std::string_view kind_and_name, std::string_view text) {
    out += "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":";
    out.append(std::to_string(blocks_ - 1)).append(",\"delta\":{\"type\":").append(kind_and_name).append(text);
    out += "\"}}\n\n";
  }
  void close(std::string& out) {
    if (std::exchange(block_, Block::kNone) == Block::kNone) return;
    out +=
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":" + std::to_string(blocks_ - 1) +
        "}\n\n";
  }
  void append_usage(std::string& out) const {
    const auto number = [](std::int64_t count) { return std::to_string(std::max<std::int64_t>(count, 0)); };
    const std::int64_t apart = std::max<std::int64_t>(usage_.cached, 0) + std::max<std::int64_t>(usage_.cache_write, 0);
    append_raw(out, "input_tokens", number(usage_.input - apart));
    if (usage_.cached >= 0) append_raw(out, "cache_read_input_tokens", number(usage_.cached));
    if (usage_.cache_write >= 0) append_raw(out, "cache_creation_input_tokens", number(usage_.cache_write));
    append_raw(out, "output_tokens", number(usage_.output));
  }
  void merge(const Usage& usage) {
    const auto take = [](std::int64_t& into, std::int64_t from) { into = from >= 0 ? from : into; };
    take(usage_.input, usage.input);
    take(usage_.cached, usage.cached);
    take(usage_.cache_write, usage.cache_write);
    take(usage_.output, usage.output);
  }

  WriterSettings settings_;
  Block block_ = Block::kNone;
  std::int64_t blocks_ = 0;
  bool started_ = false;
  bool calls_ = false;
  bool said_finish_ = false;
  std::optional<Finish> finish_;
  std::string stop_sequence_;
  Usage usage_;
};

}  // namespace

std::variant<ChatRequest, ApiError> MessagesFormat::decode(std::string_view body, bool trusted) const {
  auto decoded = decode_request(body, kChatShape, trusted);
  // A stream always tells of its usage.
  if (auto* request = std::get_if<ChatRequest>(&decoded)) request->usage_by_option = false;
  return decoded;
}

Answer MessagesFormat::read_answer(std::string_view body, Parts* parts) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(body)) return answer;
  const Value message = tree.root();
  if (!is_void_error(message["error"])) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_in(message["error"]);
  } else if (message["content"].is(Type::kArray)) {
    const bool something = !message["content"].empty() || message["usage"]["output_tokens"].integer().value_or(0) > 0 ||
                           finish_of(message["stop_reason"].escaped()) != Finish::kStop;
    answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
    if (something && parts != nullptr) MessagesReader().read_message(message, *parts);
  }
  return answer;
}

std::unique_ptr<EventReader> MessagesFormat::reader() const { return std::make_unique<MessagesReader>(); }

std::unique_ptr<StreamWriter> MessagesFormat::writer(WriterSettings settings) const {
  return in_order(std::make_unique<MessagesWriter>(std::move(settings)));
}

std::unique_ptr<AnswerRules> MessagesFormat::rules() const { return std::make_unique<MessageRules>(); }

}  // namespace spillway::api::anthropic
