#include "api/openai/completion_format.h"

#include <algorithm>
#include <utility>

#include "api/json_reading.h"
#include "api/openai/chat_format.h"
#include "api/openai/chat_reader.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

Finish finish_of(std::string_view word) {
  return word == "length" ? Finish::kLength : word == "content_filter" ? Finish::kContentFilter : Finish::kStop;
}

bool is_finish(std::string_view word) { return !word.empty() && word != "null"; }

class CompletionReader final : public EventReader {
 public:
  Chunk read(std::string_view, std::string_view data, StreamFacts& facts, Parts* parts) override {
    Chunk chunk;
    data = without_white_space_behind(data);
    if (data == "[DONE]") {
      chunk.kind = Chunk::Kind::kDone;
      return chunk;
    }
    thread_local JsonTree tree;
    switch (tree.look_at(data)) {
      case JsonTree::Found::kObject: chunk = note(tree.root(), facts); break;
      case JsonTree::Found::kOther: chunk.kind = Chunk::Kind::kNoise; break;
      case JsonTree::Found::kSeveral: chunk.kind = Chunk::Kind::kSeveral; break;
      case JsonTree::Found::kNothing: break;
    }
    if (chunk.kind == Chunk::Kind::kChunk && parts != nullptr) read_object(tree.root(), *parts);
    return chunk;
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
  static Chunk note(Value object, StreamFacts& facts) {
    Chunk chunk;
    if (const Value error = object["error"]; !is_void_error(error)) {
      chunk.kind = Chunk::Kind::kError;
      chunk.error = error_of(error);
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
      bool is_new = false;
      const std::int64_t index = choice["index"].integer().value_or(0);
      StreamFacts::Choice* const known = choice_of(facts, index, is_new);
      if (known == nullptr) return chunk;
      known->role = true;
      const std::string_view text = choice["text"].escaped();
      const std::string_view finish = choice["finish_reason"].escaped();
      chunk.token |= !text.empty();
      facts.opaque |= index != 0;
      if (index == 0) facts.add_text(text);
      known->finish |= is_finish(finish);
      facts.counted |= is_finish(finish) && finish != "stop";
    }
    chunk.usage = static_cast<bool>(usage);
    facts.counted |= usage["completion_tokens"].integer().value_or(0) > 0;
    if (chunk.token) facts.count_token();
    chunk.kind = choices || usage ? Chunk::Kind::kChunk : Chunk::Kind::kNoise;
    return chunk;
  }

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
class CompletionRules final : public AnswerRules {
 public:
  void add(Value chunk, JsonDraft& answer) override {
    const bool is_first = answer.count(JsonDraft::kRoot) == 0;
    for (const Value member : chunk) {
      if (member.key() == "choices") {
        for (const Value choice : member) add_choice(choice, answer);
      } else if (member.key() == "usage") {
        if (member) answer.set(answer.member(JsonDraft::kRoot, "usage"), member);
      } else if (is_first) {
        answer.set(answer.member(JsonDraft::kRoot, member.key()), member);
      }
    }
  }
  void finish(JsonDraft& answer) override {
    if (choices_.empty()) answer.set_json(answer.member(JsonDraft::kRoot, "choices"), "[]");
  }

 private:
  void add_choice(Value choice, JsonDraft& answer) {
    const std::int64_t index = choice["index"].integer().value_or(0);
    const JsonDraft::Place list = answer.member(JsonDraft::kRoot, "choices");
    auto found = std::ranges::find(choices_, index);
    const auto at = static_cast<std::size_t>(found - choices_.begin());
    if (found == choices_.end()) {
      if (choices_.size() == StreamFacts::kMaxChoices) return;
      choices_.push_back(index);
      answer.set_json(answer.insert(list, at),
                      "{\"index\":" + std::to_string(index) + R"(,"text":"","logprobs":null,"finish_reason":null})");
    }
    const JsonDraft::Place into = answer.element(list, at);
    answer.add_text(answer.member(into, "text"), choice["text"].escaped());
    if (const Value logprobs = choice["logprobs"]) answer.merge(answer.member(into, "logprobs"), logprobs);
    if (is_finish(choice["finish_reason"].escaped()))
      answer.set(answer.member(into, "finish_reason"), choice["finish_reason"]);
  }

  std::vector<std::int64_t> choices_;  // their indexes
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

Answer CompletionFormat::read_answer(std::string_view body, Parts* parts) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(body)) return answer;
  const Value object = tree.root();
  if (const Value error = object["error"]; !is_void_error(error)) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_of(error);
    return answer;
  }
  if (!object["choices"].is(Type::kArray)) return answer;
  bool something = object["usage"]["completion_tokens"].integer().value_or(0) > 0;
  for (const Value choice : object["choices"]) {
    const std::string_view finish = choice["finish_reason"].escaped();
    something |= !choice["text"].escaped().empty() || (is_finish(finish) && finish != "stop");
  }
  answer.kind = something ? Answer::Kind::kGood : Answer::Kind::kEmpty;
  if (something && parts != nullptr) CompletionReader().read_object(object, *parts);
  return answer;
}

std::unique_ptr<EventReader> CompletionFormat::reader() const { return std::make_unique<CompletionReader>(); }

std::unique_ptr<StreamWriter> CompletionFormat::writer(WriterSettings settings) const {
  return std::make_unique<CompletionWriter>(std::move(settings));
}

std::unique_ptr<AnswerRules> CompletionFormat::rules() const { return std::make_unique<CompletionRules>(); }

}  // namespace spillway::api::openai
