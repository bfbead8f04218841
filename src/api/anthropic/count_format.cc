#include "api/anthropic/count_format.h"

#include <algorithm>

#include "api/anthropic/messages_format.h"
#include "api/json_reading.h"

namespace spillway::api::anthropic {

namespace {

constexpr std::int64_t kPerMessage = 4;    // for its role and its marks
constexpr std::int64_t kPerImage = 1'500;  // platform.claude.com/docs/en/build-with-claude/vision: at most about 1,600

std::int64_t tokens_in(std::string_view text) {
  const auto ascii = std::ranges::count_if(text, [](char c) { return static_cast<signed char>(c) >= 0; });
  const auto others = std::ranges::count_if(text, [](char c) { return (c & 0xC0) == 0xC0; });
  return (ascii + 3) / 4 + others;
}

std::int64_t tokens_in(const Content& one) {
  const bool is_image = one.kind == Content::Kind::kImageData || one.kind == Content::Kind::kImageUrl;
  return is_image ? kPerImage : tokens_in(one.text) + tokens_in(one.name);
}

std::int64_t tokens_in(const std::vector<Content>& content) {
  std::int64_t sum = 0;
  for (const Content& one : content) {
    sum += tokens_in(one);
    for (const Content& inside : one.inside()) sum += tokens_in(inside);
  }
  return sum;
}

}  // namespace

std::int64_t estimate_tokens(std::string_view body) {
  JsonTree tree;
  Conversation chat;
  if (!tree.parse(without_white_space_behind(body))) return 0;
  (void)MessagesFormat().read_request(tree.root(), chat);  // what it refuses is not counted
  std::int64_t sum = 0;
  for (const Message& message : chat.messages) sum += kPerMessage + tokens_in(message.content);
  for (const Tool& tool : chat.tools)
    sum += kPerMessage + tokens_in(tool.name) + tokens_in(tool.description) + tokens_in(tool.parameters);
  return sum;
}

std::variant<ChatRequest, ApiError> CountFormat::decode(std::string_view body, bool trusted) const {
  RequestShape shape;
  shape.may_stream = false;
  return decode_request(body, shape, trusted);
}

Refusal CountFormat::read_request(JsonTree::Value body, Conversation& into) const {
  return MessagesFormat().read_request(body, into);
}

Answer CountFormat::read_answer(std::string_view body, Parts*) const {
  Answer answer;
  JsonTree tree;
  if (!tree.parse(without_white_space_behind(body))) return answer;
  if (tree.root()["input_tokens"].integer()) {
    answer.kind = Answer::Kind::kGood;
  } else if (tree.root()["error"]) {
    answer.kind = Answer::Kind::kError;
    answer.error = error_of(tree.root()["error"]);
  }
  return answer;
}

std::unique_ptr<StreamWriter> CountFormat::writer(WriterSettings settings) const {
  return MessagesFormat().writer(std::move(settings));
}
std::unique_ptr<AnswerRules> CountFormat::rules() const { return MessagesFormat().rules(); }

}  // namespace spillway::api::anthropic
