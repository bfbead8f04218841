#include "api/embedding_format.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdint>

#include "api/json_reading.h"
#include "base/text.h"

namespace spillway::api {

namespace {

using Type = JsonTree::Type;
using Value = JsonTree::Value;

// The numbers of a JSON list as 32-bit floats, little endian, in base64: what OpenAI's SDKs ask for by themselves.
std::string in_base64(std::string_view list) {
  std::string bytes;
  for (std::size_t i = 0; i < list.size();) {
    float value = 0;
    const auto read = std::from_chars(list.data() + i, list.data() + list.size(), value);
    if (read.ec == std::errc::invalid_argument) {
      ++i;
      continue;
    }
    const auto word = std::bit_cast<std::uint32_t>(value);
    for (unsigned shift = 0; shift < 32; shift += 8) bytes.push_back(static_cast<char>((word >> shift) & 0xFF));
    i = static_cast<std::size_t>(read.ptr - list.data());
  }
  return base64(bytes);
}

// All of the answer is written at its end.
class EmbeddingWriter final : public StreamWriter {
 public:
  EmbeddingWriter(WriterSettings settings, bool ollamas)
      : settings_(std::move(settings)), ollamas_(ollamas), model_(escaped(settings_.model)) {}

  void go_on_from(const StreamFacts&) override {}
  void append(std::string&, const Part& part) override {
    if (part.kind == PartKind::kStart && !part.name.empty()) model_ = part.name;
    if (part.kind == PartKind::kEmbedding) {
      held_ += part.text.size();
      vectors_.push_back(part.text);
    }
    if (part.kind == PartKind::kUsage) tokens_ = std::max<std::int64_t>(part.usage.input, 0);
  }
  void end(std::string& out) override {
    out += "{";
    if (!ollamas_) append_text(out, "object", "list");
    append_text(out, "model", model_);
    append_raw(out, ollamas_ ? "embeddings" : "data", "[");
    for (std::size_t i = 0; i < vectors_.size(); ++i) {
      if (i > 0) out += ",";
      if (ollamas_) {
        out += vectors_[i];
        continue;
      }
      out += R"({"object":"embedding","index":)" + std::to_string(i) + ",\"embedding\":";
      out += settings_.base64 ? "\"" + in_base64(vectors_[i]) + "\"" : vectors_[i];
      out += "}";
    }
    out += "]";
    const std::string tokens = std::to_string(tokens_);
    if (ollamas_) {
      append_raw(out, "total_duration", std::to_string(settings_.elapsed_ns ? settings_.elapsed_ns() : 0));
      append_raw(out, "load_duration", "0");
      append_raw(out, "prompt_eval_count", tokens);
    } else {
      append_raw(out, "usage", R"({"prompt_tokens":)" + tokens + R"(,"total_tokens":)" + tokens + "}");
    }
    out += "}";
  }
  void fail(std::string& out, const ApiError& error) override { out += render_error(Dialect::kOpenAi, error); }
  [[nodiscard]] std::size_t held() const override { return held_; }
  std::string keep_alive() override { return {}; }
  std::string note(std::string_view) override { return {}; }

 private:
  WriterSettings settings_;
  bool ollamas_;
  std::string model_;  // escaped
  std::vector<std::string> vectors_;
  std::size_t held_ = 0;
  std::int64_t tokens_ = 0;
};

class EmbeddingRules final : public AnswerRules {
 public:
  void add(Value event, JsonDraft& answer) override { answer.merge(JsonDraft::kRoot, event); }
};

}  // namespace

std::variant<ChatRequest, ApiError> EmbeddingFormat::decode(std::string_view body, bool trusted) const {
  RequestShape shape;
  shape.input = "input";
  shape.input_is_list = false;
  shape.may_stream = false;
  return decode_request(body, shape, trusted);
}

Refusal EmbeddingFormat::read_request(Value body, Conversation& into) const {
  for (const Value member : body) {
    const std::string_view key = member.key();
    Refusal refusal;
    if (!member) continue;
    if (key == "model") {
      refusal = take_text(member, into.model);
    } else if (key == "input") {
      for (const Value one : member) {
        if (!one.is(Type::kString)) return not_carried("input", "only texts");
      }
      refusal = take_texts(member, into.inputs);
    } else if (key == "dimensions") {
      refusal = take_count(member, into.dimensions);
    } else if (key == "user" || key == "keep_alive" || key == "truncate" || key == "options") {
      into.dropped.emplace_back(key);
    } else if (key != "encoding_format") {
      refusal = not_carried(key);
    }
    if (refusal) return refusal;
  }
  return std::nullopt;
}

Refusal EmbeddingFormat::write_request(const Conversation& chat, const Recipient&, std::string& out,
                                       std::vector<std::string>&) const {
  out += "{";
  append_text(out, "model", chat.model);
  append_raw(out, "input", "[");
  for (const std::string_view one : chat.inputs) out.append(out.back() == '[' ? "\"" : ",\"").append(one).append("\"");
  out += "]";
  if (chat.dimensions > 0) append_raw(out, "dimensions", std::to_string(chat.dimensions));
  out += "}";
  return std::nullopt;
}

Answer EmbeddingFormat::read_answer(std::string_view body, Parts* parts) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(without_white_space_behind(body))) return answer;
  const Value object = tree.root();
  const Value list = object[is_ollamas() ? "embeddings" : "data"];
  if (list.is(Type::kArray)) {
    answer.kind = list.empty() ? Answer::Kind::kEmpty : Answer::Kind::kGood;
  } else if (object["error"]) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_of(object["error"]);
  }
  if (parts == nullptr || answer.kind != Answer::Kind::kGood) return answer;
  parts->push_back({.kind = PartKind::kStart, .name = std::string(object["model"].escaped())});
  for (const Value one : list)
    parts->push_back(
        {.kind = PartKind::kEmbedding, .text = std::string((is_ollamas() ? one : one["embedding"]).raw())});
  Usage usage;
  usage.input = (is_ollamas() ? object["prompt_eval_count"] : object["usage"]["prompt_tokens"]).integer().value_or(-1);
  parts->push_back({.kind = PartKind::kUsage, .usage = usage});
  return answer;
}

std::unique_ptr<StreamWriter> EmbeddingFormat::writer(WriterSettings settings) const {
  return std::make_unique<EmbeddingWriter>(std::move(settings), is_ollamas());
}

std::unique_ptr<AnswerRules> EmbeddingFormat::rules() const { return std::make_unique<EmbeddingRules>(); }

}  // namespace spillway::api
