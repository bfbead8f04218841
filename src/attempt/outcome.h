// How an Attempt ended, and what follows from it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "api/stream.h"
#include "base/time.h"
#include "http/client.h"

namespace spillway::attempt {

// The order is that of record::kAttemptClasses, where the words for log and metrics stand.
enum class OutcomeClass {
  kAnswered,     // the client has the whole answer
  kResolve,      // the Backend's name has no address
  kConnect,      // refused, unreachable, or not within connect_timeout
  kTls,          // handshake or certificate
  kTimeout,      // no header of an answer within first_token_timeout
  kFirstToken,   // a header, then no token within first_token_timeout
  kStall,        // after the first token: nothing for idle_timeout
  kSlow,         // after the first token: a pace below min_tokens_per_second
  kCut,          // the connection ended within the answer, or before it
  kGarbage,      // not HTTP, not JSON, HTML, a compressed answer, beyond the limits
  kEmpty,        // a whole answer without content
  kOverload,     // 503, 529
  kRateLimited,  // 429
  kQuota,        // 402, and what else says that the account has nothing left: no money, a spent quota
  kServer,       // other 5xx, 408, an error object with status 200
  kConfig,       // 3xx, 401, 403, 404 and the like: never heals by itself
  kNoModel,      // 404: it has no model of the name that the client asked for
  kContext,      // 400: more than its context holds; one other Target may have a larger one
  kClient,       // 400, 413, 422: the request is at fault; passed through
  kMismatch,     // it was asked to go on with an answer, and said something else: no failure of the Backend
  kOutrun,       // another Leg gave its first token before: not this one's fault
  kShed,         // it never left: it would have waited too long here
  kUnsupported,  // it never left: what is asked cannot be said in the Backend's Dialect
  kReplaced,     // it never left: a reload has put another Backend, or none, in the place of this one
  kInternal,     // a fault of our own ended it
  kAbandoned,    // the client left, or the deadline passed: no one's fault
};

enum class Blame { kNobody, kBackend, kOperator, kClient };

// What a refusal carried along, for the client of a Route whose only Target it was.
struct Refusal {
  std::string code;  // of the upstream's error object
  std::string type;
  std::optional<milliseconds> retry_after;  // from the moment when it came
  std::string rate_fields;                  // header fields about rates, as rendered lines
  bool as_it_came = false;                  // kClient, kContext: its body is JSON, and goes to the client byte for byte
};

struct Outcome {
  OutcomeClass cls = OutcomeClass::kAnswered;
  int status = 0;         // of the upstream's answer; 0: there was none
  std::string detail;     // for people; one line
  bool deadline = false;  // the Exchange's deadline passed
  Refusal refusal = {};
};

// The word for log, metrics and error messages.
std::string_view to_word(OutcomeClass cls);

// Whose fault; a client's never counts against a Backend's health.
Blame blame(OutcomeClass cls);

// Before anything was sent to the client: may another Target be asked?
bool retryable_before_commit(OutcomeClass cls);

// After the first token: may another Target go on with the answer?
bool resumable_after_commit(OutcomeClass cls);

// What the operator can do about a Backend that fails so; one line.
std::string_view mend_of(const Outcome& outcome);

// The class of an upstream's status other than 200.
OutcomeClass class_of_status(int status);

// Does an error with status 404 speak of the model, rather than of the path?
bool says_no_such_model(const api::UpstreamError& error);

// The class of a failure on the upstream's connection, before the first token.
OutcomeClass class_of_connection(http::ClientStatus status, bool head_seen);

}  // namespace spillway::attempt
