// Going on with an answer that broke: in which words a Backend is asked for it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace spillway::api {

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
  std::uint64_t tokens_again = 0;   // of these: what it is to say again, which does not
  std::string anchor = {};          // with kAsk: the end of `prefix`, which it is asked to repeat
};

}  // namespace spillway::api
