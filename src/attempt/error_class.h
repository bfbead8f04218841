// What a provider's error means.
#pragma once

#include <string_view>

#include "api/stream.h"
#include "attempt/outcome.h"

namespace spillway::attempt {

// By its status, and by what its error object says, where a table knows that better: "429" is overload at one provider,
// no money at another. `provider`: the name of the Backend's preset; empty where it has none. An error in an answer of
// status 200, or in the middle of a stream, is never the client's.
OutcomeClass class_of_error(std::string_view provider, int status, const api::UpstreamError& error);

}  // namespace spillway::attempt
