#include "api/openai/completion_format.h"

#include <algorithm>
#include <utility>

#include "api/event_text.h"
#include "api/json_reading.h"
#include "api/openai/chat_format.h"
#include "base/byte_buffer.h"
#include "base/json_text.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

Finish finish_of(std::string_view word) {
  return word == "length" ? Finish::kLength : word == "content_filter" ? Finish::kContentFilter : Finish::kStop;
}

bool is_finish(std::string_view word) { return !word.empty() && word != "null"; }

class CompletionReader final : public PartReader {
 public:
  void read(std::string_view, std::string_view data, Parts& out) override {
    if (tree_.parse(data)) read_object(tree_.root(), out);
  }

  void read_object(Value object, Parts& out) {
    if (!std::exchange(started_, true)) {
      out.push_back({.kind = PartKind::kStart,
                     .id = std::string(object["id"].escaped()),
                     .name = std::string(object["model"].escaped())});
    }
    for (const Value choice : object["choices"]) {
      if (choice["index"].integer().value_or(0) != 0) continue;
      if (const std::string_view text = choice["text"].escaped(); !text.empty())
        out.push_back({.kind = PartKind::kText, .text = std::string(text)});
      if (const std::string_view finish = choice["finish_reason"].escaped(); is_finish(finish))
        out.push_back({.kind = PartKind::kFinish, .finish = finish_of(finish)});
    }
    if (const Value usage = object["usage"]) out.push_back({.kind = PartKind::kUsage, .usage = read_usage(usage)});
  }

 private:
  JsonTree tree_;
  bool started_ = false;
};

class CompletionWriter final : public StreamWriter {
 public:
  explicit CompletionWriter(WriterSettings settings)
      : settings_(std::move(settings)), id_(escaped(settings_.id)), model_(escaped(settings_.model)) {}

  void go_on_from(const StreamFacts& facts) override {
    id_ = escaped(facts.id);
    model_ = escaped(facts.model);
    settings_.created = facts.created;
    unfinished_.clear();
    for (const StreamFacts::Choice& choice : facts.choices) {
      if (!choice.finish) unfinished_.push_back(choice.index);
    }
  }

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kStart:
        if (!part.id.empty()) id_ = part.id;
        if (!part.name.empty()) model_ = part.name;
        return;
      case PartKind::kText:
      case PartKind::kRefusal: return choice(out, 0, part.text, {});
      case PartKind::kFinish:
        unfinished_.clear();
        return choice(out, 0, {},
                      part.finish == Finish::kLength          ? "length"
                      : part.finish == Finish::kContentFilter ? "content_filter"
                                                              : "stop");
      case PartKind::kUsage:
        if (!settings_.include_usage) return;
        if (part.usage.input >= 0) usage_.input = part.usage.input;
        if (part.usage.cached >= 0) usage_.cached = part.usage.cached;
        if (part.usage.output >= 0) usage_.output = part.usage.output;
        return;
      default: return;  // this endpoint has only a text
    }
  }

  void end(std::string& out) override {
    for (const std::int64_t index : std::exchange(unfinished_, {})) choice(out, index, {}, "stop");
    if (usage_.output >= 0) {
      begin(out);
      out += "],\"usage\":";
      append_usage(out, usage_);
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
  void begin(std::string& out) const {
    out.append(R"(data: {"id":")").append(id_).append(R"(","object":"text_completion","created":)");
    out.append(std::to_string(settings_.created)).append(R"(,"model":")").append(model_).append(R"(","choices":[)");
  }
  void choice(std::string& out, std::int64_t index, std::string_view text, std::string_view finish) const {
    begin(out);
    out += "{\"index\":" + std::to_string(index) + ",\"text\":\"";
    out.append(text).append(R"(","logprobs":null,"finish_reason":)");
    out.append(finish.empty() ? "null" : "\"" + std::string(finish) + "\"").append("}]}\n\n");
  }

  WriterSettings settings_;
  std::string id_;  // escaped, as model_
  std::string model_;
  std::vector<std::int64_t> unfinished_{0};
  Usage usage_;
};

// Texts are joined by choice; of all else the first word holds, but of usage the last.
class CompletionAssembler final : public Assembler {
 public:
  void feed(std::string_view events) override {
    for_each_data(events, [&](const std::string& data) {
      std::string padded = data;
      padded.append(ByteBuffer::kPadding, '\0');
      JsonTree tree;
      if (tree.parse(std::string_view(padded).substr(0, data.size()))) add(tree.root());
    });
  }
  [[nodiscard]] std::string answer() const override {
    std::string out = "{" + first_;
    append_raw(out, "choices", "[");
    for (const Choice& one : choices_) {
      out += out.back() == '[' ? "{" : ",{";
      append_raw(out, "index", std::to_string(one.index));
      append_text(out, "text", one.text);
      append_raw(out, "logprobs", one.logprobs.empty() ? "null" : one.logprobs);
      append_raw(out, "finish_reason", one.finish.empty() ? "null" : one.finish);
      out += "}";
    }
    out += "]";
    append_set(out, "usage", usage_);
    return out + "}";
  }

 private:
  struct Choice {
    std::int64_t index = 0;
    std::string text;
    std::string logprobs;
    std::string finish;
  };

  void add(Value chunk) {
    const bool is_first = first_.empty();
    for (const Value member : chunk) {
      if (member.key() == "choices") {
        for (const Value choice : member) add_choice(choice);
      } else if (member.key() == "usage") {
        if (member) usage_ = member.raw();
      } else if (is_first) {
        append_raw(first_, member.key(), member.raw());
      }
    }
  }
  void add_choice(Value choice) {
    const std::int64_t index = choice["index"].integer().value_or(0);
    auto found = std::ranges::find(choices_, index, &Choice::index);
    if (found == choices_.end()) found = choices_.insert(choices_.end(), Choice{index, {}, {}, {}});
    found->text += choice["text"].escaped();
    if (const Value logprobs = choice["logprobs"]) found->logprobs = logprobs.raw();
    if (is_finish(choice["finish_reason"].escaped())) found->finish = choice["finish_reason"].raw();
  }

  std::string first_;  // members of the first chunk
  std::vector<Choice> choices_;
  std::string usage_;
};

// It asks for what is done anyway.
bool asks_for_nothing(Value member) {
  const std::string_view key = member.key();
  return ((key == "n" || key == "best_of") && member.integer() == 1) || (key == "echo" && member.raw() == "false") ||
         (key == "suffix" && member.is(Type::kString) && member.escaped().empty());
}

Refusal take_member(Value member, Conversation& into) {
  const std::string_view key = member.key();
  if (!member || key == "prompt" || key == "stream" || key == "stream_options") return std::nullopt;
  if (key == "model") return take_text(member, into.model);
  if (key == "max_tokens") return take_count(member, into.max_tokens);
  if (key == "temperature") return take_number(member, into.temperature);
  if (key == "top_p") return take_number(member, into.top_p);
  if (key == "seed") return take_number(member, into.seed);
  if (key == "presence_penalty") return take_number(member, into.presence_penalty);
  if (key == "frequency_penalty") return take_number(member, into.frequency_penalty);
  if (key == "stop") return take_texts(member, into.stop);
  if (key == "user") return take_text(member, into.user);
  return asks_for_nothing(member) ? Refusal() : not_carried(key);
}

}  // namespace

std::variant<ChatRequest, ApiError> CompletionFormat::decode(std::string_view body, bool trusted) const {
  RequestShape shape;
  shape.input = "prompt";
  shape.input_is_list = false;
  shape.goes_on = true;
  return decode_request(body, shape, trusted);
}

Refusal CompletionFormat::read_request(Value body, Conversation& into) const {
  Message message;
  std::vector<std::string_view> prompts;
  if (auto refusal = take_texts(body["prompt"], prompts)) return refusal;
  if (prompts.size() != 1) return not_carried("prompt", "one text at a time");
  message.content.push_back({.text = prompts.front()});
  into.messages.push_back(std::move(message));
  for (const Value member : body) {
    if (auto refusal = take_member(member, into)) return refusal;
  }
  return std::nullopt;
}

Chunk CompletionFormat::read_event(std::string_view, std::string_view data, StreamFacts& facts) const {
  thread_local JsonTree tree;
  Chunk chunk;
  data = without_white_space_behind(data);
  if (data == "[DONE]") {
    chunk.kind = Chunk::Kind::kDone;
    return chunk;
  }
  if (!tree.parse(data)) return chunk;
  const Value object = tree.root();
  if (const Value error = object["error"]; !error.empty() || !error.escaped().empty()) {
    chunk.kind = Chunk::Kind::kError;
    chunk.error = read_error(data);
    return chunk;
  }
  if (facts.id.empty()) {
    facts.id = object["id"].text();
    facts.model = object["model"].text();
    facts.created = object["created"].integer().value_or(0);
  }
  const Value choices = object["choices"];
  const Value usage = object["usage"];
  for (const Value choice : choices) {
    const std::int64_t index = choice["index"].integer().value_or(0);
    auto found = std::ranges::find(facts.choices, index, &StreamFacts::Choice::index);
    if (found == facts.choices.end()) {
      if (facts.choices.size() == StreamFacts::kMaxChoices) return chunk;
      found = facts.choices.insert(facts.choices.end(), {index, true, false, false, false});
    }
    const std::string_view text = choice["text"].escaped();
    const std::string_view finish = choice["finish_reason"].escaped();
    chunk.token |= !text.empty();
    facts.opaque |= index != 0;
    if (index == 0) facts.text += json::unescaped(text);
    found->finish |= is_finish(finish);
    facts.counted |= is_finish(finish) && finish != "stop";
  }
  if (facts.text.size() > StreamFacts::kMaxText) {
    facts.opaque = true;
    facts.text = std::string();
  }
  chunk.usage = static_cast<bool>(usage);
  facts.counted |= usage["completion_tokens"].integer().value_or(0) > 0;
  if (chunk.token) facts.count_token();
  chunk.kind = choices || usage ? Chunk::Kind::kChunk : Chunk::Kind::kNoise;
  return chunk;
}

Answer CompletionFormat::read_answer(std::string_view body) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(without_white_space_behind(body))) return answer;
  const Value object = tree.root();
  if (const Value error = object["error"]; !error.empty() || !error.escaped().empty()) {
    answer.kind = Answer::Kind::kError;
    answer.error = read_error(body);
    return answer;
  }
  if (!object["choices"].is(Type::kArray)) return answer;
  bool something = object["usage"]["completion_tokens"].integer().value_or(0) > 0;
  for (const Value choice : object["choices"]) {
    const std::string_view finish = choice["finish_reason"].escaped();
    something |= !choice["text"].escaped().empty() || (is_finish(finish) && finish != "stop");
  }
  answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
  return answer;
}

std::unique_ptr<PartReader> CompletionFormat::part_reader() const { return std::make_unique<CompletionReader>(); }

void CompletionFormat::read_parts(std::string_view body, Parts& out) const {
  JsonTree tree;
  if (tree.parse(without_white_space_behind(body))) CompletionReader().read_object(tree.root(), out);
}

std::unique_ptr<StreamWriter> CompletionFormat::writer(WriterSettings settings) const {
  return std::make_unique<CompletionWriter>(std::move(settings));
}

std::unique_ptr<Assembler> CompletionFormat::assembler() const { return std::make_unique<CompletionAssembler>(); }

}  // namespace spillway::api::openai
