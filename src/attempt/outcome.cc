#include "attempt/outcome.h"

#include "base/text.h"
#include "record/metrics.h"

namespace spillway::attempt {

static_assert(record::kAttemptClasses.size() == static_cast<std::size_t>(OutcomeClass::kAbandoned) + 1);

std::string_view to_word(OutcomeClass cls) { return record::kAttemptClasses[static_cast<std::size_t>(cls)]; }

Blame blame(OutcomeClass cls) {
  switch (cls) {
    case OutcomeClass::kAnswered:
    case OutcomeClass::kAbandoned: return Blame::kNobody;
    case OutcomeClass::kClient:
    case OutcomeClass::kNoModel: return Blame::kClient;
    case OutcomeClass::kConfig: return Blame::kOperator;
    default: return Blame::kBackend;
  }
}

bool retryable_before_commit(OutcomeClass cls) {
  return cls != OutcomeClass::kAnswered && cls != OutcomeClass::kAbandoned && cls != OutcomeClass::kClient;
}

bool resumable_after_commit(OutcomeClass cls) {
  switch (cls) {
    case OutcomeClass::kStall:
    case OutcomeClass::kCut:
    case OutcomeClass::kGarbage:
    case OutcomeClass::kOverload:
    case OutcomeClass::kServer: return true;
    default: return false;
  }
}

OutcomeClass class_of_status(int status) {
  switch (status) {
    case 400:
    case 413:
    case 422: return OutcomeClass::kClient;
    case 408: return OutcomeClass::kServer;
    case 429: return OutcomeClass::kRateLimited;
    case 503:
    case 529: return OutcomeClass::kOverload;
    default: break;
  }
  if (status >= 500) return OutcomeClass::kServer;
  if (status >= 200 && status < 300) return OutcomeClass::kGarbage;  // 204 and the like hold no answer
  return OutcomeClass::kConfig;
}

// "model_not_found" (OpenAI, DashScope as "ModelNotFound"), or words: "The model `x` does not exist." (vLLM),
// "model 'x' not found" (Ollama). A wrong path says "Not Found" or shows a page.
bool says_no_such_model(const api::openai::UpstreamError& error) {
  return to_lower(error.code).find("model") != std::string::npos ||
         to_lower(error.message).find("model") != std::string::npos;
}

OutcomeClass class_of_connection(http::ClientStatus status, bool head_seen) {
  switch (status) {
    case http::ClientStatus::kResolveFailed: return OutcomeClass::kResolve;
    case http::ClientStatus::kConnectFailed: return OutcomeClass::kConnect;
    case http::ClientStatus::kTlsFailed: return OutcomeClass::kTls;
    case http::ClientStatus::kTimeout: return head_seen ? OutcomeClass::kFirstToken : OutcomeClass::kTimeout;
    case http::ClientStatus::kGarbage: return OutcomeClass::kGarbage;
    case http::ClientStatus::kAborted: return OutcomeClass::kAbandoned;
    case http::ClientStatus::kOk:
    case http::ClientStatus::kComplete:
    case http::ClientStatus::kClosed: return OutcomeClass::kCut;
  }
  return OutcomeClass::kCut;
}

}  // namespace spillway::attempt
