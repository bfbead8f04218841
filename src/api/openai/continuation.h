// Asking a Backend to go on with an answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/openai/chat_request.h"

namespace spillway::api::openai {

// The wire forms; `resume` in docs/configuration.md has their words.
enum class ResumeForm {
  kPrefix,                // "prefix": true on the last message
  kPartial,               // "partial": true on it
  kPrefixField,           // a top-level "prefix"
  kContinueFinalMessage,  // that flag, with "add_generation_prompt": false
  kAssistant,             // a last message of role assistant
  kAsk,                   // the part as an assistant turn, and a user turn that asks to repeat its end and go on
  kReplay,                // from scratch; what was sent is matched and dropped
  kNone,
};

// `word`: as in the Config. Nothing for "auto" and for what is no form.
std::optional<ResumeForm> resume_form_of(std::string_view word);

struct Resumption {
  ResumeForm form = ResumeForm::kReplay;
  std::string prefix;               // what it is told that it has said; empty: from scratch
  std::uint64_t tokens_so_far = 0;  // of the answer; they count against the request's limit of tokens
  std::string anchor = {};          // with kAsk: the end of `prefix`, which it is asked to repeat
};

// What has to change in the body of `request`.
std::vector<Edit> continuation_edits(const ChatRequest& request, const Resumption& resumption);

// Sets a member of `body`, which is that of `request`, to `value` (JSON text): `name` at the top, or in the object
// `object` there. Whatever else the client has set stays.
Edit member_edit(std::string_view body, const ChatRequest& request, std::string_view object, std::string_view name,
                 std::string_view value);

}  // namespace spillway::api::openai
