#include "api/resumption.h"

#include <array>

namespace spillway::api {

std::optional<ResumeForm> resume_form_of(std::string_view word) {
  constexpr std::array<std::pair<std::string_view, ResumeForm>, 8> kForms{
      {{"prefix", ResumeForm::kPrefix},
       {"partial", ResumeForm::kPartial},
       {"prefix_field", ResumeForm::kPrefixField},
       {"continue_final_message", ResumeForm::kContinueFinalMessage},
       {"assistant", ResumeForm::kAssistant},
       {"ask", ResumeForm::kAsk},
       {"replay", ResumeForm::kReplay},
       {"none", ResumeForm::kNone}}};
  for (const auto& [known, form] : kForms) {
    if (word == known) return form;
  }
  return std::nullopt;
}

}  // namespace spillway::api
