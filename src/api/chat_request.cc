#include "api/chat_request.h"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "api/thread_parser.h"
#include "base/byte_buffer.h"

namespace spillway::api {

namespace {

namespace ondemand = simdjson::ondemand;
using simdjson::error_code;

static_assert(ByteBuffer::kPadding >= simdjson::SIMDJSON_PADDING);

// RFC 8259, 6. On-Demand looks at numbers only when they are asked for, and then refuses those that
// do not fit into 64 bits, which JSON allows.
bool is_number(std::string_view text) {
  std::size_t i = 0;
  const auto digits = [&] {
    const std::size_t from = i;
    while (i < text.size() && text[i] >= '0' && text[i] <= '9') ++i;
    return i - from;
  };
  if (i < text.size() && text[i] == '-') ++i;
  const std::size_t first = i;
  const std::size_t whole = digits();
  if (whole == 0 || (whole > 1 && text[first] == '0')) return false;
  if (i < text.size() && text[i] == '.') {
    ++i;
    if (digits() == 0) return false;
  }
  if (i < text.size() && (text[i] == 'e' || text[i] == 'E')) {
    ++i;
    if (i < text.size() && (text[i] == '+' || text[i] == '-')) ++i;
    if (digits() == 0) return false;
  }
  return i == text.size();
}

std::string_view without_trailing_space(std::string_view token) {
  const std::size_t last = token.find_last_not_of(" \t\r\n");
  return token.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

// The names of an object's members so far.
class Names {
 public:
  // False: it is there already.
  bool add(std::string_view name) {
    if (count_ < few_.size()) {
      for (std::size_t i = 0; i < count_; ++i) {
        if (few_[i] == name) return false;
      }
      few_[count_++] = name;
      return true;
    }
    if (many_.empty()) many_.insert(few_.begin(), few_.end());
    return many_.insert(name).second;
  }

 private:
  std::array<std::string_view, 24> few_;
  std::size_t count_ = 0;
  std::unordered_set<std::string_view> many_;
};

constexpr error_code kTwice = simdjson::NUM_ERROR_CODES;  // no error of simdjson's

// Walks a value to its end, so that nothing malformed is forwarded.
error_code check(ondemand::value value, int depth) {
  if (depth > kMaxDepth) return simdjson::DEPTH_ERROR;
  ondemand::json_type type{};
  if (const auto error = value.type().get(type)) return error;
  switch (type) {
    case ondemand::json_type::object: {
      ondemand::object object;
      if (const auto error = value.get_object().get(object)) return error;
      Names names;
      for (auto field : object) {
        std::string_view key;
        if (const auto error = field.unescaped_key().get(key)) return error;
        if (!names.add(key)) return kTwice;
        ondemand::value inner;
        if (const auto error = field.value().get(inner)) return error;
        if (const auto error = check(inner, depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::array: {
      ondemand::array array;
      if (const auto error = value.get_array().get(array)) return error;
      for (auto element : array) {
        ondemand::value inner;
        if (const auto error = element.get(inner)) return error;
        if (const auto error = check(inner, depth + 1)) return error;
      }
      return simdjson::SUCCESS;
    }
    case ondemand::json_type::string: {
      std::string_view text;
      return value.get_string().get(text);
    }
    case ondemand::json_type::number: {
      const bool good = is_number(without_trailing_space(value.raw_json_token()));
      double ignored = 0;
      // Takes the value, so that the walk goes on behind it; its range does not matter.
      (void)value.get_double().get(ignored);
      return good ? simdjson::SUCCESS : simdjson::NUMBER_ERROR;
    }
    case ondemand::json_type::boolean: {
      bool flag = false;
      return value.get_bool().get(flag);
    }
    case ondemand::json_type::null: {
      bool null = false;
      if (const auto error = value.is_null().get(null)) return error;
      return null ? simdjson::SUCCESS : simdjson::N_ATOM_ERROR;
    }
  }
  return simdjson::UNEXPECTED_ERROR;
}

ApiError malformed(error_code error) {
  switch (error) {
    case simdjson::UTF8_ERROR: return invalid_request("the body is not valid UTF-8");
    case simdjson::DEPTH_ERROR:
      return invalid_request("the body is nested more than " + std::to_string(kMaxDepth) + " levels deep");
    case simdjson::EMPTY: return invalid_request("the body is empty; send a JSON object");
    case simdjson::INCORRECT_TYPE: return invalid_request("the body is not a JSON object");
    case kTwice: return invalid_request("the body holds an object with two members of the same name");
    case simdjson::STRING_ERROR: return invalid_request("the body holds a string with a malformed escape");
    default: return invalid_request(std::string("the body is not valid JSON: ") + simdjson::error_message(error));
  }
}

std::string in_quotes(std::string_view name) { return "\"" + std::string(name) + "\""; }

ApiError twice(std::string_view key) {
  return invalid_request(in_quotes(key) + " appears twice in the body", std::string(key));
}

// What may stand as the value of a member, apart from null. The APIs do not contradict each other.
enum : std::uint8_t { kText = 1, kNumber = 2, kWhole = 4, kFlag = 8, kList = 16, kObject = 32 };

struct MemberType {
  std::string_view name;
  std::uint8_t types;
};

// In the order of their names; what is not here may hold anything.
constexpr auto kMemberTypes = std::to_array<MemberType>({
    {"dimensions", kWhole},
    {"encoding_format", kText},
    {"format", kText | kObject},
    {"frequency_penalty", kNumber},
    {"instructions", kText},
    {"logprobs", kFlag | kWhole},
    {"max_completion_tokens", kWhole},
    {"max_output_tokens", kWhole},
    {"max_tokens", kWhole},
    {"metadata", kObject},
    {"min_p", kNumber},
    {"modalities", kList},
    {"n", kWhole},
    {"options", kObject},
    {"output_config", kObject},
    {"parallel_tool_calls", kFlag},
    {"presence_penalty", kNumber},
    {"previous_response_id", kText},
    {"reasoning", kObject},
    {"reasoning_effort", kText},
    {"repeat_penalty", kNumber},
    {"response_format", kObject},
    {"seed", kWhole},
    {"service_tier", kText},
    {"stop", kText | kList},
    {"stop_sequences", kList},
    {"store", kFlag},
    {"stream_options", kObject},
    {"system", kText | kList},
    {"temperature", kNumber},
    {"think", kFlag | kText},
    {"thinking", kObject},
    {"tool_choice", kText | kObject},
    {"tools", kList},
    {"top_k", kNumber},
    {"top_logprobs", kWhole},
    {"top_p", kNumber},
    {"user", kText},
});
static_assert(std::ranges::is_sorted(kMemberTypes, {}, &MemberType::name));

bool is_of(std::string_view token, std::uint8_t types) {
  switch (token.empty() ? 'n' : token.front()) {
    case 'n': return true;
    case '"': return (types & kText) != 0;
    case '[': return (types & kList) != 0;
    case '{': return (types & kObject) != 0;
    case 't':
    case 'f': return (types & kFlag) != 0;
    default: break;
  }
  return (types & (kNumber | kWhole)) != 0;  // of any size: it is the Backend's affair what fits
}

// Empty: `token` may stand there. Otherwise what may.
std::string why_not(std::string_view key, std::string_view token) {
  const auto* const known = std::ranges::lower_bound(kMemberTypes, key, {}, &MemberType::name);
  if (known == kMemberTypes.end() || known->name != key || is_of(token, known->types)) return {};
  std::string out;
  constexpr std::array<std::pair<std::uint8_t, std::string_view>, 6> kWords{{{kText, "a string"},
                                                                             {kNumber, "a number"},
                                                                             {kWhole, "a whole number"},
                                                                             {kFlag, "true or false"},
                                                                             {kList, "an array"},
                                                                             {kObject, "an object"}}};
  for (const auto& [type, word] : kWords) {
    if ((known->types & type) != 0) out.append(out.empty() ? "" : " or ").append(word);
  }
  return out;
}

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
      if (key == "content" && !is_of(without_trailing_space(token), kText | kList | kObject))
        wrong = "an array of objects, each with a content that is a string or an array";
      if (const auto error = check(inner, 3)) return error;
    }
  }
  return simdjson::SUCCESS;
}

// What continuing an answer needs to know of the other members. Only looks: the value is walked by check().
void note_limits(std::string_view key, ondemand::value value, std::string_view body, ChatRequest& request) {
  const std::string_view token = without_trailing_space(value.raw_json_token());
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

// Ollama's `options`, walked to their end.
error_code check_options(ondemand::value value, std::string_view body, ChatRequest& request) {
  ondemand::object options;
  if (const auto error = value.get_object().get(options)) return error;
  Names names;
  for (auto option : options) {
    std::string_view name;
    ondemand::value inner;
    if (const auto error = option.unescaped_key().get(name)) return error;
    if (!names.add(name)) return kTwice;
    if (const auto error = option.value().get(inner)) return error;
    if (name == "num_predict") note_limits("max_tokens", inner, body, request);
    if (const auto error = check(inner, 2)) return error;
  }
  return simdjson::SUCCESS;
}

// After an array or object was walked: the place behind its closing `mark`; 0: it is not found.
std::size_t end_of(ondemand::document& document, std::string_view body, char mark) {
  const char* behind = nullptr;
  if (document.current_location().get(behind)) return 0;
  std::size_t at = static_cast<std::size_t>(behind - body.data());
  while (at > 0 && body[at - 1] != mark) --at;
  return at;
}

// After `messages` was walked: where its `]` is.
void note_end_of_messages(ondemand::document& document, std::string_view body, ChatRequest& request) {
  const std::size_t at = end_of(document, body, ']');
  if (at == 0) return;
  request.messages_end = at - 1;
  std::size_t before = request.messages_end;
  while (before > 0 && std::string_view(" \t\r\n").find(body[before - 1]) != std::string_view::npos) --before;
  request.messages_empty = before > 0 && body[before - 1] == '[';
}

}  // namespace

std::variant<ChatRequest, ApiError> decode_request(std::string_view body, const RequestShape& shape, bool trusted) {
  if (body.starts_with("\xEF\xBB\xBF"))
    return invalid_request("the body begins with a byte order mark; send only the JSON object");
  ThreadParser parser;
  ChatRequest request;
  ondemand::document document;
  if (const auto error =
          parser->iterate(simdjson::padded_string_view(body.data(), body.size(), body.size() + ByteBuffer::kPadding))
              .get(document)) {
    return malformed(error);
  }
  ondemand::object object;
  if (const auto error = document.get_object().get(object)) return malformed(error);

  request.stream = shape.streams_by_default;
  request.usage_by_option = !shape.has_options;
  bool has_model = false;
  bool has_input = false;
  std::string wrong;  // what `wrong_key` has to be, and is not
  std::string wrong_key;
  Names names;
  for (auto field : object) {
    std::string_view key;
    if (const auto error = field.unescaped_key().get(key)) return malformed(error);
    if (!names.add(key)) return twice(key);
    ondemand::value value;
    if (const auto error = field.value().get(value)) return malformed(error);
    if (key == "model") {
      has_model = true;
      const std::string_view token = without_trailing_space(value.raw_json_token());
      std::string_view text;
      if (const auto error = value.get_string().get(text)) {
        if (error == simdjson::INCORRECT_TYPE) return invalid_request("\"model\" has to be a string", "model");
        return malformed(error);
      }
      request.model = text;
      request.model_begin = static_cast<std::size_t>(token.data() - body.data());
      request.model_end = request.model_begin + token.size();
    } else if (key == "stream" && shape.may_stream) {
      const std::string_view token = without_trailing_space(value.raw_json_token());
      request.stream_begin = static_cast<std::size_t>(token.data() - body.data());
      request.stream_end = request.stream_begin + token.size();
      ondemand::json_type type{};
      if (const auto error = value.type().get(type)) return malformed(error);
      if (type == ondemand::json_type::null) {
        if (const auto error = check(value, 1)) return malformed(error);
        continue;
      }
      if (const auto error = value.get_bool().get(request.stream)) {
        if (error == simdjson::INCORRECT_TYPE) return invalid_request("\"stream\" has to be true or false", "stream");
        return malformed(error);
      }
    } else if (key == "stream_options") {
      const std::string_view token = without_trailing_space(value.raw_json_token());
      request.options_begin = static_cast<std::size_t>(token.data() - body.data());
      request.options_end = request.options_begin + token.size();
      ondemand::json_type type{};
      if (const auto error = value.type().get(type)) return malformed(error);
      if (type != ondemand::json_type::object) {
        if (type != ondemand::json_type::null) {
          wrong = "an object";
          wrong_key = key;
        }
        if (const auto error = check(value, 1)) return malformed(error);
        continue;
      }
      ondemand::object options;
      if (const auto error = value.get_object().get(options)) return malformed(error);
      for (auto option : options) {
        std::string_view name;
        if (const auto error = option.unescaped_key().get(name)) return malformed(error);
        ondemand::value inner;
        if (const auto error = option.value().get(inner)) return malformed(error);
        ondemand::json_type inner_type{};
        if (const auto error = inner.type().get(inner_type)) return malformed(error);
        bool flag = false;
        if (name == "include_usage" && inner_type == ondemand::json_type::boolean) {
          if (const auto error = inner.get_bool().get(flag)) return malformed(error);
          request.include_usage = flag;
        } else if (const auto error = check(inner, 2)) {
          return malformed(error);
        }
      }
      request.options_end = end_of(document, body, '}');
    } else {
      const bool is_input = key == shape.input;
      if (trusted && !(shape.has_options && key == "options")) {
        has_input |= is_input;
        note_limits(key, value, body, request);
        std::string_view raw;
        if (simdjson::to_json_string(value).get(raw)) return malformed(simdjson::TAPE_ERROR);
        raw = without_trailing_space(raw);
        if (is_input && raw.starts_with("[")) {
          request.messages_end = static_cast<std::size_t>(raw.data() - body.data()) + raw.size() - 1;
          request.messages_empty = raw == "[]";
        }
        continue;
      }
      const std::string_view token = without_trailing_space(value.raw_json_token());
      if (is_input) {
        has_input = true;
        if (shape.input_is_list && !token.starts_with("["))
          return invalid_request(in_quotes(key) + " has to be an array", std::string(key));
        if (!is_of(token, kText | kList)) {
          wrong = "a string or an array";
          wrong_key = key;
        }
        if (token.starts_with("\""))
          request.prompt_end = static_cast<std::size_t>(token.data() - body.data()) + token.size() - 1;
        request.empty = token == "\"\"" || token == "null";
      }
      if (wrong.empty()) {
        wrong = why_not(key, token);
        if (!wrong.empty()) wrong_key = key;
      }
      note_limits(key, value, body, request);
      if (is_input && shape.input == "messages") {
        std::string wrong_message;
        if (const auto error = check_messages(value, wrong_message)) return malformed(error);
        if (!wrong_message.empty()) {
          wrong = std::move(wrong_message);
          wrong_key = key;
        }
        note_end_of_messages(document, body, request);
        continue;
      }
      if (shape.has_options && key == "options" && token.starts_with("{")) {
        if (const auto error = check_options(value, body, request)) return malformed(error);
        continue;
      }
      if (const auto error = check(value, 1)) return malformed(error);
    }
  }
  if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
    return invalid_request("there is something after the JSON object in the body");
  if (!wrong.empty()) return invalid_request(in_quotes(wrong_key) + " has to be " + wrong, wrong_key);
  if (!has_model) return invalid_request("\"model\" is missing; name a model, or ask GET /v1/models", "model");
  if (request.model.empty()) return invalid_request("\"model\" is empty; name a model, or ask GET /v1/models", "model");
  if (!has_input && shape.input_required)
    return invalid_request(in_quotes(shape.input) + " is missing", std::string(shape.input));
  if (shape.has_options) request.empty |= !has_input || request.messages_empty;
  request.object_end = body.rfind('}');
  return request;
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
