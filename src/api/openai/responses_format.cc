#include "api/openai/responses_format.h"

#include <algorithm>
#include <array>
#include <utility>

#include "api/ordered_writer.h"

namespace spillway::api::openai {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

// Members of a request that its response repeats, and what stands there where it has none.
constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kRepeated{{
    {"instructions", "null"},
    {"max_output_tokens", "null"},
    {"metadata", "{}"},
    {"parallel_tool_calls", "true"},
    {"reasoning", R"({"effort":null,"summary":null})"},
    {"temperature", "1.0"},
    {"text", R"({"format":{"type":"text"}})"},
    {"tool_choice", "\"auto\""},
    {"tools", "[]"},
    {"top_p", "1.0"},
    {"truncation", "\"disabled\""},
    {"user", "null"},
}};

// The items of a response, one open at a time; each event has its number.
class ResponsesWriter final : public StreamWriter {
 public:
  explicit ResponsesWriter(WriterSettings settings)
      : settings_(std::move(settings)), id_(escaped(settings_.id)), model_(escaped(settings_.model)) {
    JsonTree tree;
    tree.parse(settings_.request_body);
    for (const auto& [name, otherwise] : kRepeated) {
      const Value value = tree.root()[name];
      append_raw(repeated_, name, value ? value.raw() : otherwise);
    }
  }

  void go_on_from(const StreamFacts&) override {}

  void append(std::string& out, const Part& part) override {
    switch (part.kind) {
      case PartKind::kStart:
        if (!part.name.empty()) model_ = part.name;
        return start(out);
      case PartKind::kText:
      case PartKind::kRefusal: return add_text(out, Item::kMessage, part.text);
      case PartKind::kReasoning: return add_text(out, Item::kReasoning, part.text);
      case PartKind::kCall:
        close(out);
        call_id_ = part.id.empty() ? "call_" + std::to_string(items_) : part.id;
        name_ = part.name;
        return open(out, Item::kCall);
      case PartKind::kArguments:
        if (open_ != Item::kCall) return;
        said_ += part.text;
        return event(out, "response.function_call_arguments.delta", place() + R"(,"delta":")" + part.text + "\"");
      case PartKind::kFinish: finish_ = part.finish; return;
      case PartKind::kUsage:
        if (part.usage.input >= 0) usage_.input = part.usage.input;
        if (part.usage.cached >= 0) usage_.cached = part.usage.cached;
        if (part.usage.output >= 0) usage_.output = part.usage.output;
        if (part.usage.reasoning >= 0) usage_.reasoning = part.usage.reasoning;
        return;
      default: return;
    }
  }

  void end(std::string& out) override {
    start(out);
    const bool cut = finish_ == Finish::kLength || finish_ == Finish::kContentFilter;
    close(out, cut ? "incomplete" : "completed");
    event(out, cut ? "response.incomplete" : "response.completed",
          "\"response\":" + response(cut ? "incomplete" : "completed"));
  }

  // The member `error` is for SDKs that look only for that.
  void fail(std::string& out, const ApiError& error) override {
    const std::string code = escaped(error.code);
    const std::string message = escaped(error.message);
    event(out, "error",
          R"("code":")" + code + R"(","message":")" + message + R"(","param":null,"error":{"message":")" + message +
              R"(","type":")" + std::string(error_type(error.status, error.code)) + R"(","param":null,"code":")" +
              code + "\"}");
  }
  [[nodiscard]] std::size_t held() const override { return said_.size() + output_.size(); }
  std::string keep_alive() override { return ": keep-alive\n\n"; }
  std::string note(std::string_view json) override { return ": spillway " + std::string(json) + "\n\n"; }

 private:
  enum class Item : std::uint8_t { kNone, kMessage, kReasoning, kCall };

  void event(std::string& out, std::string_view type, std::string_view members) {
    out.append("event: ").append(type).append("\ndata: {\"type\":\"").append(type).append("\",\"sequence_number\":");
    out.append(std::to_string(number_++)).append(",").append(members).append("}\n\n");
  }
  [[nodiscard]] std::string response(std::string_view status) const {
    std::string out = R"({"id":"resp_)" + id_ + R"(","object":"response","created_at":)" +
                      std::to_string(settings_.created) + R"(,"status":")" + std::string(status) +
                      R"(","error":null,"incomplete_details":)";
    out += status != "incomplete"       ? "null"
           : finish_ == Finish::kLength ? R"({"reason":"max_output_tokens"})"
                                        : R"({"reason":"content_filter"})";
    out += R"(,"model":")" + model_ + R"(","output":[)" + output_ + R"(],"previous_response_id":null,"store":false,)";
    out += repeated_;
    if (status == "in_progress") return out + ",\"usage\":null}";
    const auto number = [](std::int64_t count) { return std::to_string(std::max<std::int64_t>(count, 0)); };
    return out + R"(,"usage":{"input_tokens":)" + number(usage_.input) +
           R"(,"input_tokens_details":{"cached_tokens":)" + number(usage_.cached) + R"(},"output_tokens":)" +
           number(usage_.output) + R"(,"output_tokens_details":{"reasoning_tokens":)" + number(usage_.reasoning) +
           R"(},"total_tokens":)" +
           number(std::max<std::int64_t>(usage_.input, 0) + std::max<std::int64_t>(usage_.output, 0)) + "}}";
  }
  void start(std::string& out) {
    if (std::exchange(started_, true)) return;
    event(out, "response.created", "\"response\":" + response("in_progress"));
    event(out, "response.in_progress", "\"response\":" + response("in_progress"));
  }
  [[nodiscard]] std::string item_id() const {
    const std::string_view prefix = open_ == Item::kMessage ? "msg_" : open_ == Item::kReasoning ? "rs_" : "fc_";
    return std::string(prefix) + id_ + "_" + std::to_string(items_);
  }
  // Where an event of the open item belongs.
  [[nodiscard]] std::string place() const {
    return R"("item_id":")" + item_id() + R"(","output_index":)" + std::to_string(items_);
  }
  [[nodiscard]] std::string part() const {
    return open_ == Item::kMessage
               ? R"({"type":"output_text","text":")" + said_ + R"(","annotations":[],"logprobs":[]})"
               : R"({"type":"reasoning_text","text":")" + said_ + "\"}";
  }
  [[nodiscard]] std::string item(std::string_view status, bool whole) const {
    std::string out = R"({"id":")" + item_id() + R"(","status":")" + std::string(status) + "\"";
    switch (open_) {
      case Item::kMessage:
        return out + R"(,"type":"message","role":"assistant","content":[)" + (whole ? part() : std::string()) + "]}";
      case Item::kReasoning:
        return out + R"(,"type":"reasoning","summary":[],"content":[)" + (whole ? part() : std::string()) + "]}";
      default:
        return out + R"(,"type":"function_call","call_id":")" + call_id_ + R"(","name":")" + name_ +
               R"(","arguments":")" + said_ + "\"}";
    }
  }
  void open(std::string& out, Item kind) {
    if (open_ == kind && kind != Item::kCall) return;
    close(out);
    start(out);
    open_ = kind;
    said_.clear();
    event(out, "response.output_item.added",
          R"("output_index":)" + std::to_string(items_) + ",\"item\":" + item("in_progress", false));
    if (kind == Item::kCall) return;
    event(out, "response.content_part.added", place() + R"(,"content_index":0,"part":)" + part());
  }
  void add_text(std::string& out, Item kind, std::string_view text) {
    open(out, kind);
    said_ += text;
    std::string members = place() + R"(,"content_index":0,"delta":")";
    members.append(text).append("\"");
    if (kind == Item::kMessage) members += ",\"logprobs\":[]";
    event(out, kind == Item::kMessage ? "response.output_text.delta" : "response.reasoning_text.delta", members);
  }
  void close(std::string& out, std::string_view status = "completed") {
    if (open_ == Item::kNone) return;
    if (open_ == Item::kCall) {
      event(out, "response.function_call_arguments.done",
            place() + R"(,"name":")" + name_ + R"(","arguments":")" + said_ + "\"");
    } else {
      const bool is_text = open_ == Item::kMessage;
      event(out, is_text ? "response.output_text.done" : "response.reasoning_text.done",
            place() + R"(,"content_index":0,"text":")" + said_ + (is_text ? R"(","logprobs":[])" : "\""));
      event(out, "response.content_part.done", place() + R"(,"content_index":0,"part":)" + part());
    }
    const std::string whole = item(status, true);
    event(out, "response.output_item.done", R"("output_index":)" + std::to_string(items_) + ",\"item\":" + whole);
    output_.append(output_.empty() ? "" : ",").append(whole);
    ++items_;
    open_ = Item::kNone;
  }

  WriterSettings settings_;
  std::string id_;  // escaped, as model_, call_id_, name_ and said_
  std::string model_;
  std::string repeated_;
  std::string output_;  // items that are whole
  std::string call_id_;
  std::string name_;
  std::string said_;  // of the open item
  Item open_ = Item::kNone;
  std::int64_t items_ = 0;
  std::int64_t number_ = 0;
  std::optional<Finish> finish_;
  Usage usage_;
  bool started_ = false;
};

// The last event holds all.
class ResponseRules final : public AnswerRules {
 public:
  void add(Value event, JsonDraft& answer) override {
    const Value response = event["response"];
    if (response.is(Type::kObject)) answer.set(JsonDraft::kRoot, response);
  }
};

}  // namespace

std::variant<ChatRequest, ApiError> ResponsesFormat::decode(std::string_view body, bool trusted) const {
  RequestShape shape;
  shape.input = "input";
  shape.input_is_list = false;
  return decode_request(body, shape, trusted);
}

std::unique_ptr<StreamWriter> ResponsesFormat::writer(WriterSettings settings) const {
  return in_order(std::make_unique<ResponsesWriter>(std::move(settings)));
}

std::unique_ptr<AnswerRules> ResponsesFormat::rules() const { return std::make_unique<ResponseRules>(); }

}  // namespace spillway::api::openai
