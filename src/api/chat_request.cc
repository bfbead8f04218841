#include "api/chat_request.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <tuple>
#include <utility>

#include "api/json_check.h"
#include "api/json_reading.h"
#include "api/member_types.h"
#include "api/thread_parser.h"
#include "base/byte_buffer.h"

namespace spillway::api {

namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

std::string in_quotes(std::string_view name) { return "\"" + std::string(name) + "\""; }

// Each is an object with a role and a content. SUCCESS, or what is malformed; `wrong` tells of a wrong type.
error_code check_messages(ondemand::value value, std::string& wrong) {
  ondemand::array messages;
  if (const auto error = value.get_array().get(messages)) return error;
  for (auto element : messages) {
    ondemand::value message;
    ondemand::object object;
    if (const auto error = element.get(message)) return error;
    if (!message.raw_json_token().starts_with("{")) wrong = "an array of objects";
    if (!wrong.empty()) {
      if (const auto error = check(message, 2)) return error;
      continue;
    }
    if (const auto error = message.get_object().get(object)) return error;
    Names names;
    for (auto field : object) {
      std::string_view key;
      ondemand::value inner;
      if (const auto error = field.unescaped_key().get(key)) return error;
      if (!names.add(key)) return kTwice;
      if (const auto error = field.value().get(inner)) return error;
      const std::string_view token = inner.raw_json_token();
      if (key == "role" && !token.starts_with("\"")) wrong = "an array of objects, each with a role that is a string";
      if (key == "content" && !is_of(without_white_space_behind(token), kText | kList | kObject))
        wrong = "an array of objects, each with a content that is a string or an array";
      if (const auto error = check(inner, 3)) return error;
    }
  }
  return simdjson::SUCCESS;
}

// What continuing an answer needs to know of the other members. Only looks: the value is walked by check().
void note_limits(std::string_view key, ondemand::value value, std::string_view body, ChatRequest& request) {
  const std::string_view token = without_white_space_behind(value.raw_json_token());
  std::int64_t number = 0;
  const bool is_whole =
      std::from_chars(token.data(), token.data() + token.size(), number).ptr == token.data() + token.size();
  if (key == "max_tokens" || key == "max_completion_tokens") {
    if (!is_whole || token.empty()) return;
    request.max_tokens = number;
    request.max_tokens_begin = static_cast<std::size_t>(token.data() - body.data());
    request.max_tokens_end = request.max_tokens_begin + token.size();
  } else if (key == "n") {
    if (is_whole && !token.empty()) request.n = number;
  } else if (key == "logprobs") {
    request.logprobs = token != "false" && token != "null";
  } else if (key == "encoding_format") {
    request.base64 = token == "\"base64\"";
  } else if (key == "store") {
    request.stored = token == "true";
  } else if (key == "audio" || key == "modalities") {
    request.audio |= token != "null" && (key == "audio" || token.find("audio") != std::string_view::npos);
  } else if (key == "response_format" || key == "grammar" || key == "format" || key == "output_config" ||
             key.starts_with("guided_") || key == "structured_outputs") {
    request.constrained = token != "null";  // {"type":"text"} as well: to be on the safe side
  }
}

// What stands at the top of a body, member by member. A function gives an error where the body is refused at once; a
// wrong type is told last, so that a body that is no JSON at all is told so.
class Decoder {
 public:
  Decoder(std::string_view body, const RequestShape& shape, bool trusted)
      : body_(body), shape_(shape), trusted_(trusted) {
    request_.stream = shape.streams_by_default;
    request_.usage_by_option = !shape.has_options;
  }

  std::variant<ChatRequest, ApiError> run() {
    ondemand::object object;
    const simdjson::padded_string_view padded(body_.data(), body_.size(), body_.size() + ByteBuffer::kPadding);
    if (const auto error = parser_->iterate(padded).get(document_)) return malformed(error);
    if (const auto error = document_.get_object().get(object)) return malformed(error);
    Names names;
    for (auto field : object) {
      std::string_view key;
      ondemand::value value;
      if (const auto error = field.unescaped_key().get(key)) return malformed(error);
      if (!names.add(key)) return invalid_request(in_quotes(key) + " appears twice in the body", std::string(key));
      if (const auto error = field.value().get(value)) return malformed(error);
      if (const auto error = take(key, value)) return malformed(error);
      if (refused_) return std::move(*refused_);
    }
    if (document_.current_location().error() != simdjson::OUT_OF_BOUNDS)
      return invalid_request("there is something after the JSON object in the body");
    return whole();
  }

 private:
  error_code take(std::string_view key, ondemand::value value) {
    if (key == "model") return take_model(value);
    if (key == "stream" && shape_.may_stream) return take_stream(value);
    if (key == "stream_options") return take_stream_options(value);
    if (shape_.has_options && key == "options") return take_options(value);
    if (trusted_) return look_through(key, value);
    if (key == shape_.input) return take_input(key, value);
    note_type(key, value);
    note_limits(key, value, body_, request_);
    if (key == "echo") echoes_ = value.raw_json_token().starts_with("true");
    return check(value, 1);
  }

  error_code take_model(ondemand::value value) {
    has_model_ = true;
    const auto [begin, end] = place_of(value);
    std::string_view text;
    if (const auto error = value.get_string().get(text)) {
      if (error == simdjson::INCORRECT_TYPE) refused_ = invalid_request("\"model\" has to be a string", "model");
      return error == simdjson::INCORRECT_TYPE ? simdjson::SUCCESS : error;
    }
    request_.model = text;
    request_.model_begin = begin;
    request_.model_end = end;
    return simdjson::SUCCESS;
  }

  error_code take_stream(ondemand::value value) {
    std::tie(request_.stream_begin, request_.stream_end) = place_of(value);
    if (value.raw_json_token().starts_with("null")) return check(value, 1);
    const auto error = value.get_bool().get(request_.stream);
    if (error != simdjson::INCORRECT_TYPE) return error;
    refused_ = invalid_request("\"stream\" has to be true or false", "stream");
    return simdjson::SUCCESS;
  }

  error_code take_stream_options(ondemand::value value) {
    note_type("stream_options", value);
    std::tie(request_.options_begin, request_.options_end) = place_of(value);
    ondemand::object options;
    if (!value.raw_json_token().starts_with("{")) return check(value, 1);
    if (const auto error = value.get_object().get(options)) return error;
    Names names;
    for (auto option : options) {
      std::string_view name;
      ondemand::value inner;
      if (const auto error = option.unescaped_key().get(name)) return error;
      if (!names.add(name)) return kTwice;
      if (const auto error = option.value().get(inner)) return error;
      if (name == "include_usage") request_.include_usage = inner.raw_json_token().starts_with("true");
      if (const auto error = check(inner, 2)) return error;
    }
    request_.options_end = end_of('}');
    return simdjson::SUCCESS;
  }

  // Ollama's.
  error_code take_options(ondemand::value value) {
    note_type("options", value);
    ondemand::object options;
    if (!value.raw_json_token().starts_with("{")) return check(value, 1);
    if (const auto error = value.get_object().get(options)) return error;
    Names names;
    for (auto option : options) {
      std::string_view name;
      ondemand::value inner;
      if (const auto error = option.unescaped_key().get(name)) return error;
      if (!names.add(name)) return kTwice;
      if (const auto error = option.value().get(inner)) return error;
      if (name == "num_predict") note_limits("max_tokens", inner, body_, request_);
      if (const auto error = check(inner, 2)) return error;
    }
    return simdjson::SUCCESS;
  }

  error_code take_input(std::string_view key, ondemand::value value) {
    has_input_ = true;
    const std::string_view token = without_white_space_behind(value.raw_json_token());
    request_.empty = token == "\"\"" || token == "null";
    request_.input_begin = place_of(value).first;
    if (shape_.input_is_list && !token.starts_with("[")) {
      refused_ = invalid_request(in_quotes(key) + " has to be an array", std::string(key));
      return simdjson::SUCCESS;
    }
    if (!is_of(token, kText | kList)) note_wrong(key, "a string or an array");
    if (shape_.goes_on && token.starts_with("\"")) request_.prompt_end = place_of(value).second - 1;
    if (!shape_.input_is_list) return check(value, 1);
    std::string wrong;
    if (const auto error = check_messages(value, wrong)) return error;
    if (!wrong.empty()) note_wrong(key, wrong);
    if (const std::size_t at = end_of(']'); at > 0) note_messages(at - 1);
    return simdjson::SUCCESS;
  }

  // Of what was written here only the places are wanted.
  error_code look_through(std::string_view key, ondemand::value value) {
    note_limits(key, value, body_, request_);
    std::string_view raw;
    if (const auto error = simdjson::to_json_string(value).get(raw)) return error;
    if (key != shape_.input) return simdjson::SUCCESS;
    has_input_ = true;
    raw = without_white_space_behind(raw);
    request_.input_begin = static_cast<std::size_t>(raw.data() - body_.data());
    if (raw.starts_with("[")) note_messages(static_cast<std::size_t>(raw.data() - body_.data()) + raw.size() - 1);
    return simdjson::SUCCESS;
  }

  std::variant<ChatRequest, ApiError> whole() {
    if (!wrong_.empty()) return invalid_request(in_quotes(wrong_key_) + " has to be " + wrong_, wrong_key_);
    if (!has_model_) return invalid_request("\"model\" is missing; name a model, or ask GET /v1/models", "model");
    if (request_.model.empty())
      return invalid_request("\"model\" is empty; name a model, or ask GET /v1/models", "model");
    if (!has_input_ && shape_.input_required)
      return invalid_request(in_quotes(shape_.input) + " is missing", std::string(shape_.input));
    if (shape_.has_options) request_.empty |= !has_input_ || request_.messages_empty;
    if (echoes_) request_.prompt_end = 0;  // what comes is the prompt again
    request_.object_end = body_.rfind('}');
    return std::move(request_);
  }

  void note_type(std::string_view key, ondemand::value value) {
    if (!wrong_.empty()) return;
    if (std::string wrong = why_not(key, without_white_space_behind(value.raw_json_token())); !wrong.empty())
      note_wrong(key, std::move(wrong));
  }
  void note_wrong(std::string_view key, std::string wrong) {
    wrong_ = std::move(wrong);
    wrong_key_ = key;
  }
  void note_messages(std::size_t end) {
    request_.messages_end = end;
    while (end > 0 && std::string_view(" \t\r\n").find(body_[end - 1]) != std::string_view::npos) --end;
    request_.messages_empty = end > 0 && body_[end - 1] == '[';
  }
  // Where its JSON text begins and ends; of a list or an object only the mark that opens it.
  [[nodiscard]] std::pair<std::size_t, std::size_t> place_of(ondemand::value value) const {
    const std::string_view token = without_white_space_behind(value.raw_json_token());
    const auto begin = static_cast<std::size_t>(token.data() - body_.data());
    return {begin, begin + token.size()};
  }
  // After an array or object was walked: the place behind its closing `mark`; 0: it is not found.
  std::size_t end_of(char mark) {
    const char* behind = nullptr;
    if (document_.current_location().get(behind)) return 0;
    auto at = static_cast<std::size_t>(behind - body_.data());
    while (at > 0 && body_[at - 1] != mark) --at;
    return at;
  }

  std::string_view body_;
  const RequestShape& shape_;
  bool trusted_;
  ThreadParser parser_;
  ondemand::document document_;
  ChatRequest request_;
  std::optional<ApiError> refused_;
  bool has_model_ = false;
  bool has_input_ = false;
  bool echoes_ = false;
  std::string wrong_;  // what `wrong_key_` has to be, and is not
  std::string wrong_key_;
};

}  // namespace

std::variant<ChatRequest, ApiError> decode_request(std::string_view body, const RequestShape& shape, bool trusted) {
  if (body.starts_with("\xEF\xBB\xBF"))
    return invalid_request("the body begins with a byte order mark; send only the JSON object");
  return Decoder(body, shape, trusted).run();
}

void append_streaming_edits(const ChatRequest& request, std::vector<Edit>& edits) {
  if (request.stream_end > 0) {
    edits.push_back({request.stream_begin, request.stream_end, "true"});
  } else {
    edits.push_back({request.object_end, request.object_end, R"(,"stream":true)"});
  }
  if (request.include_usage || !request.usage_by_option) return;
  constexpr std::string_view kWithUsage = R"({"include_usage":true})";
  if (request.options_end > 0) {
    edits.push_back({request.options_begin, request.options_end, std::string(kWithUsage)});
  } else {
    edits.push_back({request.object_end, request.object_end, ",\"stream_options\":" + std::string(kWithUsage)});
  }
}

}  // namespace spillway::api
