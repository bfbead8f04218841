#include "api/translate.h"

#include "api/json_reading.h"
#include "base/byte_buffer.h"

namespace spillway::api {

std::variant<Translation, ApiError> translate(const Format& from, std::string_view body, const ChatRequest& request,
                                              const Format& to, const Recipient& recipient) {
  thread_local JsonTree tree;
  if (!tree.parse(without_white_space_behind(body))) return invalid_request("the body is not valid JSON");
  Conversation conversation;
  conversation.stream = request.stream;
  conversation.include_usage = request.include_usage;
  if (auto refusal = from.read_request(tree.root(), conversation)) return std::move(*refusal);
  Translation out;
  out.dropped = std::move(conversation.dropped);
  out.body.reserve(body.size() + body.size() / 4 + ByteBuffer::kPadding);
  if (auto refusal = to.write_request(conversation, recipient, out.body, out.dropped)) return std::move(*refusal);
  out.size = out.body.size();
  out.body.append(ByteBuffer::kPadding, '\0');
  auto decoded = to.decode(out.text(), true);
  if (auto* error = std::get_if<ApiError>(&decoded)) return std::move(*error);
  out.request = std::move(std::get<ChatRequest>(decoded));
  return out;
}

}  // namespace spillway::api
