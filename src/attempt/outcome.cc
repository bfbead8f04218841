#include "attempt/outcome.h"

#include "base/text.h"
#include "record/metrics.h"

namespace spillway::attempt {

static_assert(record::kAttemptClasses.size() == static_cast<std::size_t>(OutcomeClass::kAbandoned) + 1);

std::string_view to_word(OutcomeClass cls) { return record::kAttemptClasses[static_cast<std::size_t>(cls)]; }

Blame blame(OutcomeClass cls) {
  switch (cls) {
    case OutcomeClass::kAnswered:
    case OutcomeClass::kMismatch:
    case OutcomeClass::kOutrun:
    case OutcomeClass::kShed:
    case OutcomeClass::kUnsupported:
    case OutcomeClass::kReplaced:
    case OutcomeClass::kInternal:
    case OutcomeClass::kAbandoned: return Blame::kNobody;
    case OutcomeClass::kClient:
    case OutcomeClass::kContext:
    case OutcomeClass::kNoModel: return Blame::kClient;
    case OutcomeClass::kQuota:
    case OutcomeClass::kConfig: return Blame::kOperator;
    default: return Blame::kBackend;
  }
}

bool retryable_before_commit(OutcomeClass cls) {
  return cls != OutcomeClass::kAnswered && cls != OutcomeClass::kAbandoned && cls != OutcomeClass::kClient &&
         cls != OutcomeClass::kContext && cls != OutcomeClass::kMismatch && cls != OutcomeClass::kOutrun;
}

bool resumable_after_commit(OutcomeClass cls) {
  switch (cls) {
    case OutcomeClass::kStall:
    case OutcomeClass::kSlow:
    case OutcomeClass::kCut:
    case OutcomeClass::kGarbage:
    case OutcomeClass::kMismatch:
    case OutcomeClass::kOverload:
    case OutcomeClass::kRateLimited:
    case OutcomeClass::kQuota:
    case OutcomeClass::kServer: return true;
    default: return false;
  }
}

std::string_view mend_of(const Outcome& outcome) {
  switch (outcome.cls) {
    case OutcomeClass::kResolve: return "check the host in base_url, and this machine's DNS";
    case OutcomeClass::kConnect: return "is it running, and reachable from here? check base_url and firewalls";
    case OutcomeClass::kTls: return "check base_url and ca_file";
    case OutcomeClass::kTimeout:
    case OutcomeClass::kFirstToken:
    case OutcomeClass::kStall:
    case OutcomeClass::kSlow:
      return "its other Targets answer meanwhile; if it is always so slow, raise the time limits";
    case OutcomeClass::kQuota: return "its account has no money or no quota left: top it up, or raise its limit";
    case OutcomeClass::kRateLimited: return "ask the provider for higher limits, or send it less";
    case OutcomeClass::kOverload:
    case OutcomeClass::kServer:
    case OutcomeClass::kCut: return "nothing here; other Targets answer meanwhile, where the Route has any";
    case OutcomeClass::kGarbage:
    case OutcomeClass::kEmpty: return "is base_url that of an API of this kind? a proxy between may answer instead";
    case OutcomeClass::kConfig: break;
    default: return "";
  }
  switch (outcome.status) {
    case 401: return "the key is refused: check api_key";
    case 403: return "the key may not do this: check api_key, the account, and the region";
    case 404: return "check base_url and the Target's model";
    default: return outcome.status < 400 ? "name the address that it redirects to in base_url" : "check base_url";
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
bool says_no_such_model(const api::UpstreamError& error) {
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
