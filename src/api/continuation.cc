#include "api/continuation.h"

#include <algorithm>

#include "base/json_text.h"

namespace spillway::api {

std::vector<Edit> continuation_edits(const ChatRequest& request, const Resumption& resumption) {
  std::vector<Edit> edits;
  // A model that begins anew says again what it has said, so it gets all of its tokens again.
  if (request.max_tokens > 0 && resumption.form != ResumeForm::kReplay && !resumption.prefix.empty()) {
    const std::int64_t left = request.max_tokens - static_cast<std::int64_t>(resumption.tokens_so_far) +
                              static_cast<std::int64_t>(resumption.tokens_again);
    edits.push_back(
        {request.max_tokens_begin, request.max_tokens_end, std::to_string(std::max<std::int64_t>(left, 1))});
  }
  if (resumption.prefix.empty() || resumption.form == ResumeForm::kReplay || resumption.form == ResumeForm::kNone)
    return edits;
  std::string_view prefix = resumption.prefix;
  if (resumption.form == ResumeForm::kAssistant) {
    while (!prefix.empty() && std::string_view(" \t\r\n").find(prefix.back()) != std::string_view::npos)
      prefix.remove_suffix(1);
  }
  std::string quoted;
  json::append_string(quoted, prefix);
  if (request.prompt_end > 0) {
    edits.push_back({request.prompt_end, request.prompt_end, quoted.substr(1, quoted.size() - 2)});
    return edits;
  }
  if (resumption.form == ResumeForm::kPrefixField) {
    edits.push_back({request.object_end, request.object_end, ",\"prefix\":" + quoted});
    return edits;
  }
  if (resumption.form == ResumeForm::kAsk) {
    std::string asked;
    // In the user's voice: worded as an operator's notice, models take it for an injection (askalf/dario #1286).
    json::append_string(asked,
                        "My connection dropped and I did not get the end of your last message. Please continue it "
                        "exactly where it stopped. Begin by repeating these last words of it, then go on directly, "
                        "without any remark:\n" +
                            resumption.anchor);
    edits.push_back({request.messages_end, request.messages_end,
                     (request.messages_empty ? "" : ",") + (R"({"role":"assistant","content":)" + quoted) +
                         R"(},{"role":"user","content":)" + asked + "}"});
    return edits;
  }
  std::string message = (request.messages_empty ? "" : ",") + (R"({"role":"assistant","content":)" + quoted);
  if (resumption.form == ResumeForm::kPrefix) message += R"(,"prefix":true)";
  if (resumption.form == ResumeForm::kPartial) message += R"(,"partial":true)";
  edits.push_back({request.messages_end, request.messages_end, message + "}"});
  if (resumption.form == ResumeForm::kContinueFinalMessage) {
    edits.push_back(
        {request.object_end, request.object_end, R"(,"continue_final_message":true,"add_generation_prompt":false)"});
  }
  return edits;
}

}  // namespace spillway::api
